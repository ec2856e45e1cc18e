"""accept -> dispatch -> process -> store -> finish, in one process."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import HealthSample, ImportBatch, RejectedSample, database
from django_healthkit_ingest.pipeline.status import describe
from django_healthkit_ingest.signals import batch_accepted, batch_finished, samples_changed
from django_healthkit_ingest.testing import flutter_body, healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import category, flutter_point, quantity

pytestmark = pytest.mark.django_db(databases="__all__")

HEART_RATE = "HKQuantityTypeIdentifierHeartRate"
FLOW = "HKCategoryTypeIdentifierMenstrualFlow"


def samples_of(user: Any) -> Any:
    return HealthSample.objects.using(database()).for_user(user).order_by("start", "id")


def test_healthkit_records_become_samples(user: Any) -> None:
    body = healthkit_body(
        quantity(value=1.2, unit="count/s", metadata={"HKMetadataKeyHeartRateMotionContext": 1}),
        category(category=4),
    )

    batch = ingest(body, user=user)

    assert batch.status == Status.COMPLETED
    flow, rate = samples_of(user)
    assert (rate.identifier, rate.value, rate.unit) == (HEART_RATE, pytest.approx(72), "count/min")
    assert rate.start == datetime(2026, 1, 5, 7, tzinfo=UTC)
    assert (rate.time_zone, rate.metadata) == ("+01:00", {"HKMetadataKeyHeartRateMotionContext": 1})
    assert (rate.source.name, rate.source.product_type, rate.source.precedence) == ("Test Watch", "Watch7,11", 1)
    assert (flow.identifier, flow.category, flow.value) == (FLOW, 4, None)


def test_flutter_points_are_read_in_the_declared_zone(user: Any) -> None:
    body = flutter_body(flutter_point(value=64, start="2026-07-01T08:00:00.000"), time_zone="Europe/Lisbon")

    batch = ingest(body, user=user, format="flutter")

    assert batch.status == Status.COMPLETED
    (sample,) = samples_of(user)
    assert sample.start == datetime(2026, 7, 1, 7, tzinfo=UTC)
    assert (sample.value, sample.time_zone, sample.zone_basis) == (64, "Europe/Lisbon", "D")


def test_many_chunks_end_in_one_batch(user: Any, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 7, "DISPATCH_WINDOW": 2}
    body = healthkit_body(*(quantity(value=50 + n, start=f"2026-01-05T08:00:{n:02}+01:00") for n in range(50)))

    batch = ingest(body, user=user)

    assert (batch.status, batch.chunk_count, batch.inserted) == (Status.COMPLETED, 8, 50)
    assert [sample.value for sample in samples_of(user)] == [50 + n for n in range(50)]


def test_one_bad_record_does_not_sink_its_neighbours(user: Any) -> None:
    body = healthkit_body(quantity(), quantity(unit="kg"), quantity(value=None), "not a record", quantity())

    batch = ingest(body, user=user)

    assert (batch.status, batch.received, batch.inserted, batch.rejected) == (Status.COMPLETED, 5, 2, 3)
    rejections = RejectedSample.objects.using(database()).filter(chunk__batch=batch).order_by("index")
    assert [(each.index, each.field) for each in rejections] == [(1, "unit"), (2, "value"), (3, "")]
    assert rejections[0].code == "unit_mismatch"


def test_rejections_count_in_the_requests_array_across_chunks(user: Any, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 2}
    body = healthkit_body(quantity(), quantity(), quantity(), quantity(unit="kg"), quantity())

    batch = ingest(body, user=user)

    (rejection,) = RejectedSample.objects.using(database()).filter(chunk__batch=batch)
    assert (rejection.chunk.index, rejection.index) == (1, 3)


def test_unknown_types_are_stored_whole_and_counted(user: Any) -> None:
    record = quantity("HKQuantityTypeIdentifierFromTheFuture", value=3, unit="parsec", novelty={"a": [1, 2]})

    batch = ingest(healthkit_body(record), user=user)

    assert batch.unknown_types == {"HKQuantityTypeIdentifierFromTheFuture": 1}
    (sample,) = samples_of(user)
    assert sample.identifier == "HKQuantityTypeIdentifierFromTheFuture"
    assert sample.details == record
    assert (sample.value, sample.unit) == (3, "parsec")


def test_an_empty_body_is_a_completed_batch(user: Any) -> None:
    batch = ingest(healthkit_body(), user=user)

    assert (batch.status, batch.received, batch.chunk_count) == (Status.COMPLETED, 0, 0)


def test_statistics_are_refused_one_by_one_and_accounted_for(user: Any) -> None:
    body = healthkit_body(quantity(), statistics=[{"type": HEART_RATE, "aggregation": "sum", "value": 1}])

    batch = ingest(body, user=user)

    assert (batch.received, batch.inserted, batch.rejected) == (2, 1, 1)


def test_a_batch_announces_itself_once_it_is_finished(user: Any, django_capture_on_commit_callbacks: Any) -> None:
    heard: list[tuple[str, Any]] = []

    def hear(signal: Any, **arguments: Any) -> None:
        heard.append((names[signal], arguments))

    names = {batch_accepted: "accepted", samples_changed: "changed", batch_finished: "finished"}
    for signal in names:
        signal.connect(hear)
    try:
        with django_capture_on_commit_callbacks(using=database(), execute=True):
            batch = ingest(healthkit_body(quantity(start="2026-01-05T08:00:00Z")), user=user)
    finally:
        for signal in names:
            signal.disconnect(hear)

    assert sorted(name for name, _ in heard) == ["accepted", "changed", "finished"]
    changed = next(arguments for name, arguments in heard if name == "changed")
    assert (changed["user_id"], changed["batch_id"], changed["cause"]) == (user.pk, batch.pk, "import")
    assert changed["identifiers"] == frozenset({HEART_RATE})
    assert (changed["inserted"], changed["updated"], changed["removed"]) == (1, 0, 0)
    assert changed["start"] == changed["end"] == datetime(2026, 1, 5, 8, tzinfo=UTC)


def test_status_adds_up_at_every_moment(accepted: Callable[..., ImportBatch]) -> None:
    batch = accepted(healthkit_body(quantity(), quantity(), deletions=[quantity()["uuid"]]))

    status = describe(batch)

    assert status.status == Status.PENDING
    assert status.records["received"] == 3 == status.records["pending"]
    assert (status.records["inserted"], status.records["failed"]) == (0, 0)
    assert status.chunks == {"total": 2, "pending": 2, "processing": 0, "completed": 0, "failed": 0}


def test_readers_get_samples_in_one_query(user: Any, django_assert_num_queries: Any) -> None:
    ingest(healthkit_body(*(quantity(start=f"2026-01-05T08:00:{n:02}Z") for n in range(5)), category()), user=user)

    with django_assert_num_queries(1, using=database()):
        rows = [
            (sample.identifier, sample.unit, sample.source and sample.source.name)
            for sample in HealthSample.objects.using(database())
            .for_user(user)
            .of_type(HEART_RATE)
            .between(datetime(2026, 1, 5, 8, 0, 1, tzinfo=UTC), datetime(2026, 1, 5, 8, 0, 3, tzinfo=UTC))
        ]

    assert rows == [(HEART_RATE, "count/min", "Test Watch")] * 2
