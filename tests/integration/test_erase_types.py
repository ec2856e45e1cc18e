"""Some types of a user go: their rows, what was received of them, and the anchors that lie behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections

from django_healthkit_ingest.core.encodings import decompress
from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import (
    Erasure,
    HealthSample,
    ImportChunk,
    SampleSeries,
    Statistic,
    SyncState,
    Tally,
    database,
)
from django_healthkit_ingest.pipeline import erase as erase_module
from django_healthkit_ingest.pipeline.accept import accept
from django_healthkit_ingest.pipeline.erase import erase, erase_user, order_erasure
from django_healthkit_ingest.pipeline.process import process
from django_healthkit_ingest.pipeline.replay import replay
from django_healthkit_ingest.queues import lease
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import correlation, quantity
from tests.integration.everything import DEVICE, ECG, FLOW, HEART_RATE, STEPS, give_everything, left_of, work_off
from tests.integration.test_concurrency import TIMES, run_chunk, together
from tests.integration.test_erase import Blow, Breaker, step_by_step

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture(autouse=True)
def host(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = str(tmp_path)


def types_of(user: Any) -> set[str]:
    found: set[str] = set()
    for model in (HealthSample, Statistic, SyncState, Tally):
        rows = model._default_manager.using(database()).filter(user_id=user.pk)
        found |= set(rows.values_list("type__identifier", flat=True))
    return found


def payloads(user: Any) -> bytes:
    rows = ImportChunk.objects.using(database()).filter(user_id=user.pk, payload__isnull=False)
    return b"".join(decompress(bytes(payload)) for payload in rows.values_list("payload", flat=True) if payload)


@pytest.mark.parametrize("rows", [1, 5_000])
def test_these_types_go_and_nothing_else(
    user: Any, other_user: Any, messages: Any, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(erase_module, "ROWS_AT_ONCE", rows)
    for each in (user, other_user):
        give_everything(each)
    theirs, had = left_of(other_user.pk), left_of(user.pk)
    types, raw = types_of(user), payloads(user)
    assert {HEART_RATE, STEPS, FLOW, ECG} <= types
    heart_rates = HealthSample.objects.using(database()).for_user(user).of_type(HEART_RATE).count()

    receipt = erase_user(user_id=user.pk, identifiers=["HEART_RATE", STEPS, ECG])

    left = left_of(user.pk)
    gone = {name: had[name] - left.get(name, 0) for name in had if name != "Erasure"}
    assert receipt.status is Status.COMPLETED
    assert receipt.identifiers == tuple(sorted((HEART_RATE, STEPS, ECG)))
    assert receipt.counts == {
        "records": raw.count(HEART_RATE.encode()) + raw.count(STEPS.encode()) + raw.count(ECG.encode()),
        "samples": heart_rates + 1,
        "series": 1,
        "statistics": 1,
        "sync_states": 1,
        "tallies": 2,
    }
    assert {name: number for name, number in gone.items() if number} == {
        "HealthSample": heart_rates + 1,
        "SampleSeries": 1,
        "Statistic": 1,
        "SyncState": 1,
        "Tally": 2,
    }
    assert types_of(user) == types - {HEART_RATE, STEPS, ECG}
    assert not any(name.encode() in payloads(user) for name in (HEART_RATE, STEPS, ECG))
    assert FLOW.encode() in payloads(user)
    assert left_of(other_user.pk) == theirs


def test_no_replay_brings_them_back(user: Any, messages: Any) -> None:
    give_everything(user)
    erase_user(user_id=user.pk, identifiers=[HEART_RATE])

    replay(user_id=user.pk)
    work_off(messages)

    assert HEART_RATE not in types_of(user)
    assert FLOW in types_of(user)


def test_a_series_goes_with_the_last_sample_that_has_it(user: Any) -> None:
    give_everything(user)

    erase_user(user_id=user.pk, identifiers=[HEART_RATE])
    kept = SampleSeries.objects.using(database()).filter(user_id=user.pk).count()
    erase_user(user_id=user.pk, identifiers=[ECG])

    assert kept == 1
    assert not SampleSeries.objects.using(database()).filter(user_id=user.pk).exists()


def test_anchors_that_wait_are_forgotten_too(user: Any, messages: Any) -> None:
    """Released later they would send the phone behind what is not here any more."""
    open_batch, last = (
        accept(
            healthkit_body(quantity(), device={"id": DEVICE}, anchors={HEART_RATE: anchor, STEPS: anchor}), user=user
        )
        for anchor in ("1", "2")
    )
    process(chunk_id=last.chunks.get().pk, task_id="a")
    assert not SyncState.objects.using(database()).exists()

    erase_user(user_id=user.pk, identifiers=[HEART_RATE])
    process(chunk_id=open_batch.chunks.get().pk, task_id="a")

    assert dict(SyncState.objects.using(database()).values_list("type__identifier", "anchor")) == {STEPS: "2"}


def test_a_worker_that_has_read_them_already_keeps_nothing(user: Any, messages: Any, chunks: Any) -> None:
    batch = accept(healthkit_body(quantity(), quantity(STEPS, unit="count")), user=user)
    (chunk,) = batch.chunks.all()
    chunks.claim(task_id="a", now=batch.created_at, lease=lease(), max_attempts=5)

    erase_user(user_id=user.pk, identifiers=[HEART_RATE])
    process(chunk_id=chunk.pk, task_id="b")

    assert types_of(user) == {STEPS}


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_erasing_a_type_beside_its_merge_leaves_none(user: Any, settings: Any, messages: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 10}
    for _ in range(TIMES):
        records = [
            quantity(identifier, unit=unit) for identifier, unit in ((HEART_RATE, "count/min"), (STEPS, "count"))
        ]
        batch = accept(healthkit_body(*(record | {"uuid": str(uuid4())} for record in records * 10)), user=user)
        workers = [run_chunk(chunk) for chunk in batch.chunks.all()]

        together(*workers, lambda: erase_user(user_id=user.pk, identifiers=[HEART_RATE]))
        for chunk in ImportChunk.objects.using(database()).unfinished():
            process(chunk_id=chunk.pk, task_id="again")

        batch.refresh_from_db()
        assert types_of(user) == {STEPS}
        assert batch.status == Status.COMPLETED
        assert HealthSample.objects.using(database()).filter(batch=batch).count() == 10


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_a_worker_may_die_between_any_two_statements(user: Any, messages: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    step_by_step(user.pk, monkeypatch, rows=2)
    give_everything(user)
    rows = HealthSample.objects.using(database()).for_user(user).of_type(HEART_RATE).count()
    records = payloads(user).count(HEART_RATE.encode())
    order_erasure(user_id=user.pk, identifiers=[HEART_RATE])
    order = Erasure.objects.using(database()).get(status=Status.PENDING)

    statements = 0
    while Erasure.objects.using(database()).get(pk=order.pk).status != Status.COMPLETED:
        statements += 1
        try:
            with connections[database()].execute_wrapper(Breaker(statements, Blow())):
                erase(erasure_id=order.pk)
        except Blow:
            connections[database()].close_if_unusable_or_obsolete()

    counts = Erasure.objects.using(database()).get(pk=order.pk).counts
    assert (counts["samples"], counts["records"]) == (rows, records)
    assert HEART_RATE not in types_of(user)


def test_a_type_nobody_has_sent_leaves_an_empty_receipt(user: Any) -> None:
    give_everything(user)
    had = left_of(user.pk)

    receipt = erase_user(user_id=user.pk, identifiers=["HKQuantityTypeIdentifierFromTheFuture"])

    assert (receipt.status, receipt.counts) == (Status.COMPLETED, {})
    assert left_of(user.pk) == had | {"Erasure": had["Erasure"] + 1}


def test_a_correlation_that_holds_such_a_member_goes_with_it(user: Any, messages: Any) -> None:
    systolic, diastolic = (f"HKQuantityTypeIdentifierBloodPressure{name}" for name in ("Systolic", "Diastolic"))
    pressures = [quantity(name, value=value, unit="mmHg") for name, value in ((systolic, 121.25), (diastolic, 80))]
    ingest(healthkit_body(correlation(*pressures), quantity()), user=user)
    assert types_of(user) == {"HKCorrelationTypeIdentifierBloodPressure", systolic, diastolic, HEART_RATE}

    erase_user(user_id=user.pk, identifiers=[systolic])

    assert types_of(user) == {diastolic, HEART_RATE}
    assert b"121.25" not in payloads(user)
