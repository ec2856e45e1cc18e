"""Complete windows: what this installation sent before and does not hold any more is removed, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import (
    HealthSample,
    ImportBatch,
    ImportChunk,
    SampleSeries,
    Tombstone,
    database,
)
from django_healthkit_ingest.pipeline.accept import accept
from django_healthkit_ingest.pipeline.process import process
from django_healthkit_ingest.pipeline.status import describe
from django_healthkit_ingest.signals import samples_changed
from django_healthkit_ingest.testing import flutter_body, healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import category, flutter_point, quantity
from tests.integration.test_concurrency import TIMES, run_chunk, together

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

HEART_RATE = "HKQuantityTypeIdentifierHeartRate"
FLOW = "HKCategoryTypeIdentifierMenstrualFlow"
BLOOD_PRESSURE = "HKCorrelationTypeIdentifierBloodPressure"
DEVICE = {"id": "6F0C"}


def window(*types: str, **members: Any) -> dict[str, Any]:
    day = {"start": "2026-01-05T00:00:00Z", "end": "2026-01-06T00:00:00Z", "complete": True, "readable": True}
    return {"types": list(types or (HEART_RATE,)), **day, **members}


def sync(user: Any, *records: Any, windows: Any = (), device: Any = DEVICE, **envelope: Any) -> ImportBatch:
    return ingest(healthkit_body(*records, windows=list(windows), device=device, **envelope), user=user)


def at(time: str, **fields: Any) -> dict[str, Any]:
    return quantity(start=f"2026-01-05T{time}Z", **fields)


def uuids(user: Any) -> set[str]:
    found = HealthSample.objects.using(database()).for_user(user).values_list("uuid", flat=True)
    return {str(uuid) for uuid in found}


def count(user: Any) -> int:
    return HealthSample.objects.using(database()).for_user(user).count()


def test_what_a_complete_window_does_not_hold_is_removed(user: Any) -> None:
    kept, gone = at("08:00:00"), at("09:00:00")
    sync(user, kept, gone)

    batch = sync(user, kept, windows=[window()])

    assert uuids(user) == {kept["uuid"]}
    assert (batch.status, batch.rows_reconciled, batch.warnings) == (Status.COMPLETED, 1, [])
    assert batch.reconciled_at is not None
    assert (describe(batch).rows_removed, describe(batch).records["deletion"]) == (1, 0)


def test_what_is_received_again_returns(user: Any) -> None:
    gone = at("09:00:00")
    sync(user, gone)
    sync(user, windows=[window()])
    assert count(user) == 0
    assert not Tombstone.objects.using(database()).exists()

    again = sync(user, gone)

    assert (again.inserted, uuids(user)) == (1, {gone["uuid"]})


def test_a_window_is_half_open_and_of_its_types(user: Any) -> None:
    before = at("07:59:59.999")
    first, last = at("08:00:00"), at("08:59:59.999")
    after = at("09:00:00")
    other_type = category(start="2026-01-05T08:30:00Z")
    sync(user, before, first, last, after, other_type)

    sync(user, windows=[window(start="2026-01-05T08:00:00Z", end="2026-01-05T10:00:00+01:00")])

    assert uuids(user) == {before["uuid"], after["uuid"], other_type["uuid"]}


def test_a_window_of_many_types_and_a_body_of_many_windows(user: Any) -> None:
    rate, flow, later = at("08:00:00"), category(start="2026-01-05T08:00:00Z"), quantity(start="2026-02-05T08:00:00Z")
    sync(user, rate, flow, later)

    february = window(start="2026-02-01T00:00:00Z", end="2026-03-01T00:00:00Z")
    batch = sync(user, flow, windows=[window(HEART_RATE, FLOW), february, february])

    assert (uuids(user), batch.rows_reconciled) == ({flow["uuid"]}, 2)


@pytest.mark.parametrize("promise", [{"complete": False}, {"readable": False}])
def test_both_promises_are_needed(user: Any, promise: dict[str, bool]) -> None:
    sync(user, at("08:00:00"))

    batch = sync(user, windows=[window(**promise)])

    assert (count(user), batch.rows_reconciled, batch.warnings) == (1, 0, [])


def test_other_installations_and_users_are_not_touched(user: Any, other_user: Any) -> None:
    sync(user, at("08:00:00"), device={"id": "tablet"})
    sync(user, at("08:00:00"), device=None)
    sync(other_user, at("08:00:00"))

    batch = sync(user, windows=[window()])

    assert (count(user), count(other_user), batch.rows_reconciled) == (2, 1, 0)


def test_without_an_installation_nothing_is_removed(user: Any) -> None:
    sync(user, at("08:00:00"), device=None)

    batch = sync(user, windows=[window()], device=None)

    assert (count(user), batch.warnings) == (1, ["windows_without_device"])


def test_a_type_nobody_knows_is_pointed_out(user: Any) -> None:
    batch = sync(user, windows=[window("STEPS")])

    assert batch.warnings == ["window_of_unknown_type"]


def test_a_rejected_sample_stops_it(user: Any) -> None:
    """Nobody knows which type it was of, and its row would look absent."""
    sync(user, at("08:00:00"))

    batch = sync(user, at("09:00:00", unit="kg"), windows=[window()])

    assert (batch.status, batch.rejected, batch.warnings) == (Status.COMPLETED, 1, ["window_not_reconciled"])
    assert count(user) == 1


def test_a_rejected_deletion_does_not(user: Any) -> None:
    sync(user, at("08:00:00"))

    batch = sync(user, windows=[window()], deletions=["no uuid"])

    assert (batch.rejected, batch.rows_reconciled, count(user)) == (1, 1, 0)


def test_a_failed_chunk_stops_it_until_it_is_tried_again(user: Any, settings: Any, messages: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 1}
    sync(user, at("08:00:00"))
    kept = [at("09:00:00"), at("10:00:00")]
    batch = accept(healthkit_body(*kept, windows=[window()], device=DEVICE), user=user)
    first, second = batch.chunks.order_by("index")
    ImportChunk.objects.using(database()).filter(pk=first.pk).update(payload=None)
    process_all(first, second)
    batch.refresh_from_db()
    assert (batch.status, batch.reconciled_at, count(user)) == (Status.FAILED, None, 2)

    reopen(batch, chunk=first, payload=first.payload)
    process_all(first)

    batch.refresh_from_db()
    assert (batch.status, batch.rows_reconciled) == (Status.COMPLETED, 1)
    assert uuids(user) == {each["uuid"] for each in kept}


def test_a_window_is_acted_upon_once(user: Any, messages: Any) -> None:
    gone = at("08:00:00")
    first = sync(user, gone)
    batch = sync(user, at("09:00:00"), windows=[window()])
    sync(user, gone)
    HealthSample.objects.using(database()).filter(uuid=gone["uuid"]).update(batch_id=first.pk)
    chunk = batch.chunks.get()

    reopen(batch, chunk=chunk, payload=chunk.payload)
    process_all(chunk)

    batch.refresh_from_db()
    assert (batch.status, batch.rows_reconciled, count(user)) == (Status.COMPLETED, 1, 2)


def test_rows_of_a_later_batch_are_left_alone(user: Any, messages: Any) -> None:
    early = accept(healthkit_body(at("08:00:00"), windows=[window()], device=DEVICE), user=user)
    late = accept(healthkit_body(at("09:00:00"), device=DEVICE), user=user)
    process_all(*late.chunks.all())

    process_all(*early.chunks.all())

    early.refresh_from_db()
    assert (early.status, early.rows_reconciled, count(user)) == (Status.COMPLETED, 0, 2)


def test_a_payload_that_is_gone_stops_it(user: Any, settings: Any, messages: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 1}
    sync(user, at("08:00:00"))
    body = healthkit_body(at("09:00:00"), at("10:00:00"), windows=[window()], device=DEVICE)
    batch = accept(body, user=user)
    first, second = batch.chunks.order_by("index")
    process_all(first)
    ImportChunk.objects.using(database()).filter(pk=first.pk).update(payload=None)

    process_all(second)

    batch.refresh_from_db()
    assert (batch.status, batch.warnings, count(user)) == (Status.COMPLETED, ["window_not_reconciled"], 3)


def test_every_chunk_of_the_batch_is_looked_at(user: Any, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 3}
    records = [at(f"08:{minute:02}:00") for minute in range(10)]
    sync(user, *records, at("09:00:00"))

    batch = sync(user, *records, windows=[window()])

    assert (batch.chunk_count, batch.rows_reconciled) == (4, 1)
    assert uuids(user) == {record["uuid"] for record in records}


def test_records_without_uuid_are_known_by_their_looks(user: Any) -> None:
    kept, gone = at("08:00:00", uuid=None, value=60), at("09:00:00", uuid=None, value=60)
    changed = at("10:00:00", uuid=None, value=60)
    sync(user, kept, gone, changed)

    batch = sync(user, kept, {**changed, "value": 70}, windows=[window()])

    rows = HealthSample.objects.using(database()).for_user(user).order_by("start")
    assert [(row.start.hour, row.value) for row in rows] == [(8, 60), (10, 70)]
    assert batch.rows_reconciled == 2


def test_one_of_two_equal_records_without_uuid_vouches_for_both(user: Any) -> None:
    meal = at("08:00:00", uuid=None)
    sync(user, meal, meal)

    batch = sync(user, meal, windows=[window()])

    assert (batch.rows_reconciled, count(user)) == (0, 2)


def test_a_copy_without_uuid_vouches_for_the_row_with_one(user: Any) -> None:
    """The same installation in two dialects: the poorer one's window must not remove what it cannot name."""
    record = at("08:00:00.500", value=61)
    sync(user, record)
    point = flutter_point(value=61, start="2026-01-05T08:00:00.000", uuid=None)

    batch = ingest(flutter_body(point, time_zone="UTC", device=DEVICE, windows=[window()]), user=user)

    assert batch.rows_reconciled == 0
    assert uuids(user) == {record["uuid"]}


def test_a_copy_with_uuid_vouches_for_the_row_without(user: Any) -> None:
    meal = at("08:00:00", uuid=None)
    sync(user, meal, meal)

    batch = sync(user, at("08:00:00"), windows=[window()])

    assert (batch.rows_reconciled, count(user)) == (0, 2)


def test_a_uuid_is_not_vouched_for_by_another(user: Any) -> None:
    old, new = at("08:00:00"), at("08:00:00")
    sync(user, old, at("07:00:00", uuid=None, identifier="HKQuantityTypeIdentifierStepCount", unit="count"))

    batch = sync(user, new, windows=[window()])

    assert (batch.rows_reconciled, count(user)) == (1, 2)
    assert old["uuid"] not in uuids(user)


def test_a_row_whose_date_is_another_readings_is_seen_by_its_uuid(user: Any) -> None:
    """The same uuid in two dialects, one of which rounds the date over the window's edge; the finer one's row stays."""
    record = at("08:00:00.500")
    sync(user, record)
    point = flutter_point(uuid=record["uuid"].upper(), start="2026-01-05T08:00:00.000")
    edge = window(start="2026-01-05T08:00:00.200Z")

    batch = ingest(flutter_body(point, time_zone="UTC", device=DEVICE, windows=[edge]), user=user)

    assert (batch.rows_reconciled, uuids(user)) == (0, {record["uuid"]})


def test_members_of_a_correlation_are_seen(user: Any) -> None:
    names = ("HKQuantityTypeIdentifierBloodPressureSystolic", "HKQuantityTypeIdentifierBloodPressureDiastolic")
    members = [at("08:00:00", identifier=name, unit="mmHg") for name in names]
    pressure = {
        "uuid": str(uuid4()), "type": BLOOD_PRESSURE, "start": members[0]["start"], "objects": members,
    }  # fmt: skip
    sync(user, pressure)
    assert count(user) == 3

    batch = sync(user, pressure, windows=[window(BLOOD_PRESSURE, *names)])

    assert (batch.rows_reconciled, count(user)) == (0, 3)


def test_series_go_with_their_samples(user: Any) -> None:
    batch = sync(user, at("08:00:00"))
    row = HealthSample.objects.using(database()).get()
    for key in (row.uuid, row.fingerprint, uuid4()):
        assert isinstance(key, UUID)
        series = {"rank": 0, "points": 1, "name": "beats", "payload": b"x"}
        SampleSeries.objects.using(database()).create(user_id=batch.user_id, sample_key=key, **series)

    sync(user, windows=[window()])

    assert SampleSeries.objects.using(database()).count() == 1


def test_readers_hear_of_it_after_the_commit(user: Any) -> None:
    heard: list[dict[str, Any]] = []

    def hear(signal: Any, sender: Any, **arguments: Any) -> None:
        heard.append(arguments)

    sync(user, at("08:00:00"), at("09:00:00"), category(start="2026-01-05T10:00:00Z"))
    samples_changed.connect(hear)
    try:
        batch = sync(user, windows=[window(HEART_RATE, FLOW, "HKQuantityTypeIdentifierStepCount")])
        sync(user, windows=[window()])
    finally:
        samples_changed.disconnect(hear)

    assert heard == [
        {
            "user_id": user.pk,
            "batch_id": batch.pk,
            "cause": "window",
            "identifiers": frozenset({HEART_RATE, FLOW}),
            "start": datetime(2026, 1, 5, 8, tzinfo=UTC),
            "end": datetime(2026, 1, 5, 10, tzinfo=UTC),
            "inserted": 0,
            "updated": 0,
            "removed": 3,
        }
    ]


def test_many_rows_cost_few_statements(user: Any, messages: Any, django_assert_max_num_queries: Any) -> None:
    sync(user, *(at(f"{n // 3600 + 1:02}:{n // 60 % 60:02}:{n % 60:02}") for n in range(2500)))
    batch = accept(healthkit_body(at("08:00:00"), windows=[window()], device=DEVICE), user=user)
    (chunk,) = batch.chunks.all()

    with django_assert_max_num_queries(70, using=database()):
        process_all(chunk)

    batch.refresh_from_db()
    assert (batch.rows_reconciled, count(user)) == (2500, 1)


def test_a_window_beside_the_merges_of_later_batches_takes_only_what_was_before(user: Any, messages: Any) -> None:
    for _ in range(TIMES):
        sync(user, at("08:00:00"), at("09:00:00"))
        kept, later = at("10:00:00"), [at("11:00:00"), at("12:00:00")]
        batch = accept(healthkit_body(kept, windows=[window()], device=DEVICE), user=user)
        others = [accept(healthkit_body(record, device=DEVICE), user=user) for record in later]

        together(*(run_chunk(each.chunks.get()) for each in (batch, *others)))

        assert uuids(user) == {each["uuid"] for each in (kept, *later)}
        HealthSample.objects.using(database()).for_user(user).delete()


def test_chunks_that_end_together_remove_once(user: Any, settings: Any, messages: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 1}
    for _ in range(TIMES):
        sync(user, at("08:00:00"), at("09:00:00"))
        kept = [at("10:00:00"), at("11:00:00"), at("12:00:00")]
        batch = accept(healthkit_body(*kept, windows=[window()], device=DEVICE), user=user)

        together(*map(run_chunk, batch.chunks.all()))

        batch.refresh_from_db()
        assert (batch.status, batch.rows_reconciled) == (Status.COMPLETED, 2)
        assert uuids(user) == {each["uuid"] for each in kept}
        HealthSample.objects.using(database()).for_user(user).delete()


def process_all(*chunks: ImportChunk) -> None:
    for chunk in chunks:
        process(chunk_id=chunk.pk, task_id=str(uuid4()))


def reopen(batch: ImportBatch, *, chunk: ImportChunk, payload: Any) -> None:
    """As an operator's retry leaves it."""
    chunks = ImportChunk.objects.using(database()).filter(pk=chunk.pk)

    chunks.update(payload=payload)
    chunks.reopen()
    ImportBatch.objects.using(database()).filter(pk=batch.pk).reopen()
