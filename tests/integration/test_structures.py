from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from django_healthkit_ingest.models import HealthSample, SampleSeries, Statistic, database
from django_healthkit_ingest.testing import ingest
from tests.unit.formats.structures import ONCE, STRUCTURES
from tests.unit.formats.test_statistics import RATE, STEPS

pytestmark = pytest.mark.django_db(databases="__all__")


def _body(samples: list[dict[str, Any]], statistics: list[dict[str, Any]] | None = None) -> bytes:
    return json.dumps({"format": "healthkit", "samples": samples, "statistics": statistics}).encode()


@pytest.mark.parametrize("turned", [False, True])
def test_every_kind_is_stored(user: Any, turned: bool) -> None:
    elements = [*STRUCTURES.values(), *ONCE.values()]

    batch = ingest(_body(elements[::-1] if turned else elements), user=user)

    rows = {str(row.uuid).upper(): row for row in HealthSample.objects.using(database()).for_user(user)}
    members = {each["uuid"]: each["type"] for each in STRUCTURES["correlation"]["objects"]}
    expected = {each["uuid"]: each["type"] for each in STRUCTURES.values()} | members
    assert batch.rejected == 0
    assert {uuid: row.identifier for uuid, row in rows.items()} == expected
    assert {row.type.identifier for row in Statistic.objects.using(database()).filter(user_id=user.pk)} == {
        each["type"] for each in ONCE.values()
    }
    series = SampleSeries.objects.using(database()).filter(user_id=user.pk)
    assert {(each.sample_key, each.name) for each in series} == {
        (UUID(STRUCTURES["series"]["uuid"]), "locations"),
        (UUID(STRUCTURES["heartbeats"]["uuid"]), "beats"),
        (UUID(STRUCTURES["ecg"]["uuid"]), "voltages"),
    }


def test_one_bad_member_keeps_the_whole_correlation_out(user: Any) -> None:
    correlation = STRUCTURES["correlation"]
    bad = correlation | {"objects": [correlation["objects"][0], correlation["objects"][1] | {"unit": "kg"}]}

    batch = ingest(_body([bad]), user=user)

    assert batch.rejected == 1
    assert not HealthSample.objects.using(database()).for_user(user).exists()


def test_statistics_count_once_and_the_fuller_reading_stays(user: Any) -> None:
    first = ingest(_body([], [RATE, STEPS]), user=user)
    second = ingest(_body([], [STEPS | {"value": 8000}]), user=user)
    third = ingest(_body([], [STEPS | {"value": 9000}]), user=user)

    assert [each.statistic for each in (first, second, third)] == [2, 1, 1]
    rows = Statistic.objects.using(database()).filter(user_id=user.pk)
    assert rows.count() == 7
    assert rows.get(type__identifier=STEPS["type"]).value == 9000.0
