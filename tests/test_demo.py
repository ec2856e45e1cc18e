"""The demo's judge must be able to say no: it is tried on a small history, and on the same one tampered with."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from django_healthkit_ingest.models import HealthSample, ImportBatch, RejectedSample
from django_healthkit_ingest.testing import ingest
from example_project.demo import bodies
from example_project.demo.bodies import Body, Story, tell
from example_project.demo.compare import differences
from example_project.demo.people import PEOPLE, Person

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture(autouse=True)
def several_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "EVENTS_PER_BODY", 300)


def ingested(story: Story, user: Any) -> dict[UUID, Body]:
    return {
        ingest(gzip.decompress(body.content), user=user, idempotency_key=body.idempotency_key).uuid: body
        for body in story.bodies
    }


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.name)
def test_the_road_ends_in_the_ground_truth(person: Person, user: Any) -> None:
    story = tell(person, days=2, seed=7)

    imports = ingested(story, user)

    assert len(story.bodies) > 1
    assert differences(story, user=user, imports=imports) == []


def test_the_same_seed_tells_the_same_story() -> None:
    first, second = (tell(PEOPLE[0], days=1, seed=7) for _ in range(2))

    assert first.rows == second.rows
    assert [body.rejections for body in first.bodies] == [body.rejections for body in second.bodies]
    assert tell(PEOPLE[0], days=1, seed=8).rows != first.rows


def lose_a_row() -> None:
    HealthSample.objects.filter(pk=HealthSample.objects.earliest("pk").pk).delete()


def change_a_value() -> None:
    row = HealthSample.objects.filter(value__isnull=False).earliest("pk")
    HealthSample.objects.filter(pk=row.pk).update(value=(row.value or 0) + 0.001)


def double_a_row() -> None:
    row = HealthSample.objects.earliest("pk")
    row.pk = None
    row.uuid = UUID(int=1)
    row.save()


def misname_a_rejection() -> None:
    row = RejectedSample.objects.earliest("pk")
    RejectedSample.objects.filter(pk=row.pk).update(code="other")


def leave_a_batch_open() -> None:
    ImportBatch.objects.filter(pk=ImportBatch.objects.earliest("pk").pk).update(status="PROCESSING")


@pytest.mark.parametrize("tamper", [lose_a_row, change_a_value, double_a_row, misname_a_rejection, leave_a_batch_open])
def test_every_difference_is_found(tamper: Callable[[], None], user: Any) -> None:
    story = tell(PEOPLE[2], days=1, seed=7)
    imports = ingested(story, user)

    tamper()

    assert differences(story, user=user, imports=imports)
