"""Claims, leases, fences, failures: what happens when workers die, race and fail."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DataError, OperationalError, connections
from django.db.models import F, Manager, QuerySet
from django.utils import timezone

from django_healthkit_ingest import queues
from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import HealthSample, ImportBatch, RejectedSample, database
from django_healthkit_ingest.pipeline.dispatch import dispatch
from django_healthkit_ingest.pipeline.failures import ChunkCrashed
from django_healthkit_ingest.pipeline.process import process
from django_healthkit_ingest.pipeline.store.merge import merge
from django_healthkit_ingest.signals import batch_finished
from django_healthkit_ingest.testing import healthkit_body
from django_healthkit_ingest.testing.payloads import quantity

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture
def chunk(accepted: Callable[..., ImportBatch]) -> Any:
    batch = accepted(healthkit_body(quantity(), quantity(unit="kg")))
    dispatch(user_id=batch.user_id, lane=batch.lane)
    return batch.chunks.get()


def claim(chunk: Any, chunks: Any, *, task_id: str = "other", lease: timedelta = timedelta(minutes=5)) -> Any:
    claimed = chunks.filter(pk=chunk.pk).claim(task_id=task_id, now=timezone.now(), lease=lease, max_attempts=5)
    assert claimed == 1
    chunk.refresh_from_db()
    return chunk


def count() -> int:
    return HealthSample.objects.using(database()).count()


def test_a_repeated_message_changes_nothing(chunk: Any, messages: Any) -> None:
    process(chunk_id=chunk.pk, task_id="a")
    process(chunk_id=chunk.pk, task_id="a")
    process(chunk_id=chunk.pk, task_id="b")

    chunk.refresh_from_db()
    assert (chunk.status, chunk.attempts, chunk.inserted, chunk.rejected) == (Status.COMPLETED, 1, 1, 1)
    assert (count(), RejectedSample.objects.using(database()).count()) == (1, 1)


def test_a_living_workers_chunk_is_left_alone(chunk: Any, chunks: Any) -> None:
    claim(chunk, chunks)

    process(chunk_id=chunk.pk, task_id="mine")

    chunk.refresh_from_db()
    assert (chunk.status, chunk.claimed_by, count()) == (Status.PROCESSING, "other", 0)


@pytest.mark.parametrize(
    ("task_id", "lease"),
    [("mine", timedelta(minutes=5)), ("other", timedelta(seconds=-1))],
    ids=["redelivered", "expired"],
)
def test_a_dead_workers_chunk_is_taken_over(chunk: Any, chunks: Any, task_id: str, lease: timedelta) -> None:
    claim(chunk, chunks, task_id=task_id, lease=lease)

    process(chunk_id=chunk.pk, task_id="mine")

    chunk.refresh_from_db()
    assert (chunk.status, chunk.attempts, chunk.claim_no, count()) == (Status.COMPLETED, 2, 2, 1)


def test_a_worker_that_lost_its_claim_keeps_nothing(chunk: Any, chunks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow worker wakes up after its lease ran out and another one has claimed: its merge must roll back."""
    from django_healthkit_ingest.pipeline import complete

    real = merge

    def overtaken(*args: Any, **kwargs: Any) -> Any:
        merged = real(*args, **kwargs)
        chunks.filter(pk=chunk.pk).update(claim_no=F("claim_no") + 1, claimed_by="other")
        return merged

    monkeypatch.setattr(complete, "merge", overtaken)

    process(chunk_id=chunk.pk, task_id="slow")

    chunk.refresh_from_db()
    assert (chunk.status, chunk.inserted, count()) == (Status.PROCESSING, 0, 0)
    assert not RejectedSample.objects.using(database()).exists()


def test_attempts_end_a_chunk_that_kills_its_workers(chunk: Any, chunks: Any, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"MAX_ATTEMPTS": 3}
    chunks.filter(pk=chunk.pk).update(status=Status.PROCESSING, attempts=3, claimed_by="dead")

    process(chunk_id=chunk.pk, task_id="dead")

    chunk.refresh_from_db()
    chunk.batch.refresh_from_db()
    assert (chunk.status, chunk.error_code) == (Status.FAILED, "attempts_exhausted")
    assert (chunk.batch.status, chunk.batch.failed, chunk.batch.received) == (Status.FAILED, 2, 2)


def test_a_permanent_failure_fails_the_chunk_and_lets_the_rest_in(
    accepted: Callable[..., ImportBatch], chunks: Any, settings: Any
) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 1}
    batch = accepted(healthkit_body(quantity(), quantity()))
    broken, sound = chunks.filter(batch=batch).order_by("index")
    chunks.filter(pk=broken.pk).update(payload=None)

    process(chunk_id=broken.pk, task_id="a")
    process(chunk_id=sound.pk, task_id="b")

    broken.refresh_from_db()
    batch.refresh_from_db()
    assert (broken.status, broken.error_code) == (Status.FAILED, "payload_unavailable")
    assert (batch.status, batch.inserted, batch.failed, count()) == (Status.FAILED, 1, 1, 1)


def test_a_transient_failure_puts_the_chunk_back_with_a_delayed_message(
    chunk: Any, messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django_healthkit_ingest.pipeline import process as module

    def away(chunk: Any) -> None:
        raise OperationalError

    monkeypatch.setattr(module, "complete", away)
    messages.clear()

    process(chunk_id=chunk.pk, task_id="a")

    chunk.refresh_from_db()
    assert (chunk.status, chunk.attempts, bool(chunk.sent_at)) == (Status.PENDING, 1, True)
    assert timedelta(seconds=3) < chunk.not_before - timezone.now() < queues.MAX_DELAY
    assert [(message.name, message.delay is not None) for message in messages] == [(queues.PROCESS_CHUNK, True)]


@pytest.mark.parametrize("moment", ["type_ids", "merge"])
def test_a_connection_that_breaks_puts_the_chunk_back(
    chunk: Any, messages: Any, monkeypatch: pytest.MonkeyPatch, transactional_db: Any, moment: str
) -> None:
    connection = connections[database()]
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no connection that could break; this environment runs on SQLite")
    from django_healthkit_ingest.pipeline import complete

    def cut_off(*args: Any, **kwargs: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr(complete, moment, cut_off)

    process(chunk_id=chunk.pk, task_id="a")

    chunk.refresh_from_db()
    assert (chunk.status, bool(chunk.not_before)) == (Status.PENDING, True)


def test_a_deadlock_is_tried_again_in_place(chunk: Any, monkeypatch: pytest.MonkeyPatch, transactional_db: Any) -> None:
    from django_healthkit_ingest.pipeline import complete

    real, calls = merge, []

    class Deadlock(Exception):
        sqlstate = "40P01"

    def deadlocked(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) < 3:
            raise OperationalError from Deadlock()
        return real(*args, **kwargs)

    monkeypatch.setattr(complete, "merge", deadlocked)

    process(chunk_id=chunk.pk, task_id="a")

    chunk.refresh_from_db()
    assert (chunk.status, chunk.attempts, len(calls)) == (Status.COMPLETED, 1, 3)


def test_an_unknown_error_escapes_so_that_the_message_comes_back(
    chunk: Any, messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django_healthkit_ingest.pipeline import process as module

    def explode(chunk: Any) -> None:
        raise DataError("Failing row contains (Ada's Watch, 61)")

    monkeypatch.setattr(module, "complete", explode)

    with pytest.raises(ChunkCrashed) as caught:
        process(chunk_id=chunk.pk, task_id="a")

    chunk.refresh_from_db()
    assert (chunk.status, chunk.claimed_by) == (Status.PROCESSING, "a")
    told = "".join(traceback.format_exception(caught.value))
    assert "DataError" in told
    assert "Failing row" not in told.partition("Chunk ")[2], "an error's own text may quote health data"


def test_the_first_claim_starts_the_batch(accepted: Callable[..., ImportBatch], chunks: Any, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 1}
    batch = accepted(healthkit_body(quantity(), quantity()))

    process(chunk_id=batch.chunks.earliest("index").pk, task_id="a")

    batch.refresh_from_db()
    assert (batch.status, batch.finished_at) == (Status.PROCESSING, None)


def test_a_chunk_of_a_deleted_user_leaves_nothing_behind(chunk: Any, chunks: Any) -> None:
    user_model = type(chunk).user.field.related_model
    user_model._default_manager.filter(pk=chunk.user_id)._raw_delete(user_model._default_manager.db)

    process(chunk_id=chunk.pk, task_id="a")

    assert not chunks.exists()
    assert not ImportBatch.objects.using(database()).exists()
    assert count() == 0


def test_a_user_that_a_manager_hides_is_not_a_deleted_one(chunk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    user_model = type(chunk).user.field.related_model
    hiding = Manager.from_queryset(QuerySet)()
    hiding.model = user_model
    monkeypatch.setattr(hiding, "get_queryset", lambda: QuerySet(user_model).none(), raising=False)
    monkeypatch.setitem(user_model._meta.__dict__, "default_manager", hiding)
    assert not user_model._default_manager.filter(pk=chunk.user_id).exists()

    process(chunk_id=chunk.pk, task_id="a")

    assert count() == 1


def test_the_database_refuses_books_that_do_not_balance(chunk: Any, chunks: Any) -> None:
    from django.db import IntegrityError, transaction

    with pytest.raises(IntegrityError), transaction.atomic(using=database()):
        chunks.filter(pk=chunk.pk).update(status=Status.COMPLETED, inserted=1)

    chunks.filter(pk=chunk.pk).update(status=Status.COMPLETED, inserted=1, rejected=1)


def test_processing_costs_a_fixed_number_of_queries(
    accepted: Callable[..., ImportBatch], django_assert_max_num_queries: Any
) -> None:
    batches = [accepted(healthkit_body(*(quantity() for _ in range(size)))) for size in (1, 200)]
    counts = []

    for batch in batches:
        connection = connections[database()]
        with django_assert_max_num_queries(60, using=database()) as captured:
            process(chunk_id=batch.chunks.get().pk, task_id="a")
        assert connection.vendor in ("postgresql", "sqlite")
        counts.append(len(captured))

    assert counts[1] <= counts[0], "a larger chunk needs no more statements"


def test_batch_finished_is_sent_once_by_the_winner(chunk: Any, django_capture_on_commit_callbacks: Any) -> None:
    heard: list[Any] = []

    def hear(*, batch: ImportBatch, **kwargs: Any) -> None:
        heard.append((batch.status, batch.inserted))

    batch_finished.connect(hear)
    try:
        with django_capture_on_commit_callbacks(using=database(), execute=True):
            process(chunk_id=chunk.pk, task_id="a")
            process(chunk_id=chunk.pk, task_id="b")
    finally:
        batch_finished.disconnect(hear)

    assert heard == [(Status.COMPLETED, 1)]
