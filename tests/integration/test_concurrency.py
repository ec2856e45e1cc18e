"""Real connections, started together by a barrier; every story is told many times."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections, transaction
from django.utils import timezone

from django_healthkit_ingest import queues
from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.exceptions import IdempotencyMismatch
from django_healthkit_ingest.models import HealthSample, ImportBatch, ImportChunk, RejectedSample, database
from django_healthkit_ingest.pipeline.accept import accept
from django_healthkit_ingest.pipeline.dispatch import dispatch
from django_healthkit_ingest.pipeline.erase import erase_user
from django_healthkit_ingest.pipeline.process import process
from django_healthkit_ingest.pipeline.sweep import sweep
from django_healthkit_ingest.signals import batch_finished
from django_healthkit_ingest.testing import healthkit_body
from django_healthkit_ingest.testing.payloads import quantity

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

TIMES = 15


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Run the calls at the same instant, each in a thread with connections of its own; answer results in order."""
    barrier = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def run(place: int, call: Callable[[], Any]) -> None:
        try:
            with queues.captured():
                barrier.wait(60)
                results[place] = call()
        except Exception as error:  # noqa: BLE001 - handed to the asserting thread
            results[place] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(place, call)) for place, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    failures = [result for result in results if isinstance(result, Exception)]
    if failures:
        raise failures[0]
    return results


def run_chunk(chunk: ImportChunk, *, task_id: str | None = None) -> Callable[[], None]:
    return lambda: process(chunk_id=chunk.pk, task_id=task_id or str(uuid4()))


def chunks_of(*batches: ImportBatch) -> list[ImportChunk]:
    return [chunk for batch in batches for chunk in batch.chunks.order_by("index")]


def test_overlapping_chunks_of_one_user_double_nothing(user: Any, settings: Any, messages: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 30}
    for _ in range(TIMES):
        records = [quantity(uuid=None if n % 3 == 0 else str(uuid4()), value=n) for n in range(60)]
        batches = [accept(healthkit_body(*records), user=user), accept(healthkit_body(*reversed(records)), user=user)]

        together(*map(run_chunk, chunks_of(*batches)))

        samples = HealthSample.objects.using(database()).for_user(user)
        assert samples.count() == 60
        for batch in batches:
            batch.refresh_from_db()
        assert [batch.status for batch in batches] == [Status.COMPLETED] * 2
        assert sum(batch.inserted for batch in batches) == 60
        samples.delete()


def test_a_chunk_that_two_workers_get_is_done_once(user: Any, messages: Any) -> None:
    for _ in range(TIMES):
        batch = accept(healthkit_body(quantity(), quantity(unit="kg")), user=user)
        (chunk,) = chunks_of(batch)

        together(run_chunk(chunk), run_chunk(chunk), run_chunk(chunk, task_id="same"), run_chunk(chunk, task_id="same"))

        chunk.refresh_from_db()
        assert (chunk.status, chunk.received) == (Status.COMPLETED, chunk.inserted + chunk.rejected)
        assert HealthSample.objects.using(database()).filter(batch_id=batch.pk).count() == 1
        assert RejectedSample.objects.using(database()).filter(chunk=chunk).count() == 1


def test_one_winner_closes_the_batch(user: Any, settings: Any, messages: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 1}
    heard: Counter[int] = Counter()

    def hear(*, batch: ImportBatch, **kwargs: Any) -> None:
        heard[batch.pk] += 1

    batch_finished.connect(hear)
    try:
        for _ in range(TIMES):
            batch = accept(healthkit_body(*(quantity() for _ in range(4))), user=user)
            together(*map(run_chunk, chunks_of(batch)))
            batch.refresh_from_db()
            assert (batch.status, batch.inserted, heard[batch.pk]) == (Status.COMPLETED, 4, 1)
    finally:
        batch_finished.disconnect(hear)


def test_the_window_holds_when_many_dispatch_at_once(user: Any, settings: Any, messages: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 1, "DISPATCH_WINDOW": 2}
    accept(healthkit_body(*(quantity() for _ in range(9))), user=user)

    sent = together(*(lambda: dispatch(user_id=user.pk, lane="LIVE") for _ in range(6)))

    assert sum(sent) == 2
    assert ImportChunk.objects.using(database()).in_flight().count() == 2


def test_two_sweeps_at_once_send_no_more_than_one(user: Any, settings: Any, messages: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 1, "DISPATCH_WINDOW": 3}
    accept(healthkit_body(*(quantity() for _ in range(5))), user=user)

    swept = together(sweep, sweep, sweep)

    assert sum(each.messages_sent for each in swept) == 3


def test_one_key_makes_one_batch(user: Any, messages: Any) -> None:
    body = healthkit_body(quantity())
    for number in range(TIMES):
        batches = together(*(lambda: accept(body, user=user, idempotency_key=str(number)) for _ in range(4)))  # noqa: B023

        assert len({batch.pk for batch in batches}) == 1
        assert sorted(batch.replayed for batch in batches) == [False, True, True, True]


def test_one_key_with_two_bodies_is_one_batch_and_one_mismatch(user: Any, messages: Any) -> None:
    def attempt(body: bytes, *, key: str) -> Callable[[], ImportBatch | None]:
        def send() -> ImportBatch | None:
            try:
                return accept(body, user=user, idempotency_key=key)
            except IdempotencyMismatch:
                return None

        return send

    for number in range(TIMES):
        bodies = [healthkit_body(quantity()) for _ in range(2)]

        batches = together(*(attempt(body, key=str(number)) for body in bodies))

        assert batches.count(None) == 1
    assert ImportBatch.objects.using(database()).count() == TIMES


def test_a_key_that_has_expired_makes_one_new_batch(user: Any, messages: Any) -> None:
    body = healthkit_body(quantity())
    long_ago = timezone.now() - timedelta(days=2)
    for number in range(TIMES):
        first = accept(body, user=user, idempotency_key=str(number))
        ImportBatch.objects.using(database()).filter(pk=first.pk).update(created_at=long_ago)

        batches = together(*(lambda: accept(body, user=user, idempotency_key=str(number)) for _ in range(4)))  # noqa: B023

        assert len({batch.pk for batch in batches}) == 1
        assert first.pk not in {batch.pk for batch in batches}


def test_a_repeat_waits_for_the_first_that_is_still_running(user: Any, messages: Any) -> None:
    """The first has stored and not yet committed; the repeat has looked for the key and found none."""
    body = healthkit_body(quantity())
    is_stored, may_commit = threading.Event(), threading.Event()

    def first() -> ImportBatch:
        with transaction.atomic(using=database()):
            batch = accept(body, user=user, idempotency_key="k")
            is_stored.set()
            assert may_commit.wait(60)
        return batch

    def repeat() -> ImportBatch:
        assert is_stored.wait(60)
        threading.Timer(0.2, may_commit.set).start()
        return accept(body, user=user, idempotency_key="k")

    one, other = together(first, repeat)

    assert (one.pk, other.replayed) == (other.pk, True)


def test_erasing_beside_a_merge_leaves_nothing(user: Any, settings: Any, messages: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 20}
    for _ in range(TIMES):
        batch = accept(healthkit_body(*(quantity() for _ in range(40))), user=user)

        together(*map(run_chunk, chunks_of(batch)), lambda: erase_user(user_id=user.pk))

        assert not ImportChunk.objects.using(database()).exists()
        assert not HealthSample.objects.using(database()).exists()


def test_a_deletion_wins_against_its_sample_on_another_worker(user: Any, messages: Any) -> None:
    for _ in range(TIMES):
        record = quantity()
        arrival = accept(healthkit_body(record), user=user)
        deletion = accept(healthkit_body(deletions=[record["uuid"]]), user=user)

        together(*map(run_chunk, chunks_of(arrival, deletion)))

        assert not HealthSample.objects.using(database()).filter(uuid=record["uuid"]).exists()
