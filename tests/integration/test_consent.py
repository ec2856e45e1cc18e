"""Deciding on a type, and what has been decided."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.exceptions import DecidedElsewhere, InvalidQuery
from django_healthkit_ingest.models import Consent, Erasure, HealthSample, database
from django_healthkit_ingest.pipeline import decide as module
from django_healthkit_ingest.pipeline.accept import accept
from django_healthkit_ingest.pipeline.consent import (
    CLOCKS_DIFFER,
    ConsentStatus,
    list_consents,
    withheld_since,
    withheld_types,
)
from django_healthkit_ingest.pipeline.decide import decide
from django_healthkit_ingest.pipeline.erase import erase
from django_healthkit_ingest.pipeline.process import process
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import category, quantity
from tests.integration.test_concurrency import TIMES, run_chunk, together
from tests.integration.test_windows import count
from tests.integration.test_withhold import DIASTOLIC, FLOW, MARK, MARKED, PRESSURE, RATE, payloads

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)


def rows(user: Any) -> dict[str, bool]:
    return dict(Consent.objects.using(database()).for_user(user).values_list("identifier", "allowed"))


def test_who_never_decided_lets_everything_be_kept(user: Any) -> None:
    assert withheld_types(user_id=user.pk) == frozenset()
    assert list_consents(user=user) == []


def test_a_decision_is_seen_by_its_user_alone(user: Any, other_user: Any) -> None:
    off = decide(user=user, identifier=FLOW, allowed=False)
    on = decide(user=user, identifier=RATE, allowed=True)

    assert (off.identifier, off.allowed, off.erasure) == (FLOW, False, None)
    assert withheld_types(user_id=user.pk) == {FLOW}
    assert list_consents(user=user) == [
        ConsentStatus(identifier=FLOW, allowed=False, changed_at=off.changed_at),
        ConsentStatus(identifier=RATE, allowed=True, changed_at=on.changed_at),
    ]
    assert withheld_types(user_id=other_user.pk) == frozenset()
    assert list_consents(user=other_user) == []


def test_changing_ones_mind(user: Any) -> None:
    first = decide(user=user, identifier=FLOW, allowed=False)
    again = decide(user=user, identifier=FLOW, allowed=False)
    back = decide(user=user, identifier=FLOW, allowed=True)

    assert first.changed_at == again.changed_at < back.changed_at
    assert rows(user) == {FLOW: True}
    assert withheld_types(user_id=user.pk) == frozenset()


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("HKElectrocardiogram", "HKDataTypeIdentifierElectrocardiogram"),
        ("MENSTRUATION_FLOW", FLOW),
        ("com.acme.mood", "com.acme.mood"),
        ("x" * 128, "x" * 128),
    ],
)
def test_a_type_has_many_names_and_one_decision(user: Any, name: str, identifier: str) -> None:
    assert decide(user=user, identifier=name, allowed=False).identifier == identifier
    assert decide(user=user, identifier=identifier, allowed=True).identifier == identifier
    assert rows(user) == {identifier: True}


def test_a_type_that_becomes_known_stays_switched_off(user: Any, settings: Any) -> None:
    decide(user=user, identifier="com.acme.mood", allowed=False)
    row = {"identifier": "com.acme.Mood", "kind": "quantity", "canonical_unit": "count", "aliases": ["com.acme.mood"]}
    settings.HEALTHKIT_INGEST = {"SAMPLE_TYPES": [row]}

    batch = ingest(healthkit_body(quantity("com.acme.Mood", unit="count")), user=user)

    assert batch.withheld == 1


@pytest.mark.parametrize("name", ["", "x" * 129, "a\0b", "a\nb", "\ud83d"])
def test_a_name_that_cannot_be_one(user: Any, name: str) -> None:
    with pytest.raises(InvalidQuery, match="'identifier'") as caught:
        decide(user=user, identifier=name, allowed=False)

    assert not name or name not in caught.value.detail
    assert rows(user) == {}


def test_what_is_allowed_is_not_erased(user: Any) -> None:
    with pytest.raises(InvalidQuery, match="'erase'"):
        decide(user=user, identifier=FLOW, allowed=True, erase=True)

    assert rows(user) == {}
    assert not Erasure.objects.using(database()).exists()


def test_there_is_an_end_to_deciding(user: Any, other_user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    for name in ("a", "b"):
        decide(user=user, identifier=name, allowed=False)

    with pytest.raises(InvalidQuery, match="2 types"):
        decide(user=user, identifier="c", allowed=False, erase=True)

    decide(user=user, identifier="a", allowed=True)
    decide(user=other_user, identifier="c", allowed=False)
    assert rows(user) == {"a": True, "b": False}
    assert not Erasure.objects.using(database()).exists()


def test_two_decisions_at_once_are_one_row(user: Any, messages: Any) -> None:
    for number in range(TIMES):
        name = f"type {number}"

        made = together(*(lambda: decide(user=user, identifier=name, allowed=False) for _ in range(4)))  # noqa: B023

        assert len({decision.changed_at for decision in made}) == 1
    assert rows(user) == {f"type {number}": False for number in range(TIMES)}


# The host's word


def host_says(user_id: Any) -> list[str]:
    return ["MENSTRUATION_FLOW", RATE]


def test_while_the_host_decides_nobody_else_does(user: Any, settings: Any) -> None:
    decide(user=user, identifier=PRESSURE, allowed=False)
    settings.HEALTHKIT_INGEST = {"CONSENT": f"{__name__}.host_says"}

    with pytest.raises(DecidedElsewhere):
        decide(user=user, identifier=DIASTOLIC, allowed=False, erase=True)

    assert rows(user) == {PRESSURE: False}
    assert withheld_types(user_id=user.pk) == {FLOW, RATE}
    assert list_consents(user=user) == [
        ConsentStatus(identifier=name, allowed=False, changed_at=None) for name in (FLOW, RATE)
    ]


# What windows ask


def test_what_may_have_been_withheld_since(user: Any) -> None:
    now = timezone.now()
    long_ago = now - CLOCKS_DIFFER - timedelta(minutes=1)
    for name, allowed, moment in (("off", False, long_ago), ("on", True, long_ago), ("back on", True, now)):
        mine = Consent.objects.using(database())
        mine.create(user_id=user.pk, identifier=name, allowed=allowed, changed_at=moment)

    assert withheld_since(now, user_id=user.pk) == {"off", "back on"}
    assert withheld_since(now + timedelta(minutes=1), user_id=user.pk) == {"off", "back on"}, "by another clock"
    assert withheld_since(now + timedelta(hours=1), user_id=user.pk) == {"off"}
    assert withheld_since(now - timedelta(days=1), user_id=user.pk) == {"off", "on", "back on"}


def test_by_the_hosts_word_only_today_is_known(user: Any, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CONSENT": f"{__name__}.host_says"}

    assert withheld_since(timezone.now(), user_id=user.pk) == {FLOW, RATE}


def test_reading_is_one_query(user: Any) -> None:
    for number in range(50):
        decide(user=user, identifier=f"type {number}", allowed=False)

    for read in (lambda: withheld_types(user_id=user.pk), lambda: list_consents(user=user)):
        with CaptureQueriesContext(connections[database()]) as captured:
            assert len(read()) == 50
        assert len(captured) == 1


# Stop keeping it


def erase_all() -> None:
    for pk in Erasure.objects.using(database()).unfinished().values_list("pk", flat=True):
        erase(erasure_id=pk)


def test_stop_keeping_cycle_data(user: Any, messages: Any) -> None:
    stored = ingest(healthkit_body(category(**MARKED), quantity()), user=user)
    waiting = accept(healthkit_body(category(**MARKED), quantity()), user=user)

    decision = decide(user=user, identifier="MENSTRUATION_FLOW", allowed=False, erase=True)
    erase_all()
    process(chunk_id=waiting.chunks.get().pk, task_id="a")

    assert decision.erasure is not None
    assert decision.erasure.identifiers == (FLOW,)
    order = Erasure.objects.using(database()).get(uuid=decision.erasure.id)
    assert order.status == Status.COMPLETED
    waiting.refresh_from_db()
    assert (waiting.withheld, waiting.inserted, count(user)) == (1, 1, 2)
    assert MARK.encode() not in payloads(stored) + payloads(waiting)


def test_erasing_beside_merges_leaves_nothing_of_the_type(user: Any, settings: Any, messages: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 5}

    def stop() -> None:
        decide(user=user, identifier=FLOW, allowed=False, erase=True)
        erase_all()

    for _ in range(TIMES):
        batch = accept(healthkit_body(*(category(**MARKED) for _ in range(10)), *(quantity() for _ in range(10))),
                       user=user)  # fmt: skip

        together(*map(run_chunk, batch.chunks.all()), stop)
        for chunk in batch.chunks.unfinished():  # whose worker was sent away
            process(chunk_id=chunk.pk, task_id="again")

        batch.refresh_from_db()
        assert batch.status == Status.COMPLETED
        assert count(user) == 10
        assert MARK.encode() not in payloads(batch)
        Consent.objects.using(database()).all().delete()
        HealthSample.objects.using(database()).for_user(user).delete()
