"""Whatever a crash leaves behind, sweep ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from django_healthkit_ingest import queues
from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import ImportBatch, ImportChunk, Tally, database
from django_healthkit_ingest.pipeline.dispatch import dispatch
from django_healthkit_ingest.pipeline.process import process
from django_healthkit_ingest.pipeline.sweep import sweep
from django_healthkit_ingest.signals import batch_finished
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import quantity

pytestmark = pytest.mark.django_db(databases="__all__")

HOUR = timedelta(hours=1)


@pytest.fixture
def batch(accepted: Callable[..., ImportBatch]) -> ImportBatch:
    return accepted(healthkit_body(quantity()))


def test_a_dispatch_that_never_came_is_made_up_for(batch: ImportBatch, messages: Any) -> None:
    messages.clear()

    swept, again = sweep(), sweep()

    assert (swept.messages_sent, again.messages_sent) == (1, 0)
    assert [message.name for message in messages] == [queues.PROCESS_CHUNK]


def test_a_lost_message_is_sent_again_with_growing_patience(batch: ImportBatch, chunks: Any, messages: Any) -> None:
    dispatch(user_id=batch.user_id, lane=batch.lane)
    answers = []

    for age in (timedelta(minutes=29), timedelta(minutes=31), timedelta(minutes=31), timedelta(minutes=61)):
        chunks.update(sent_at=timezone.now() - age)
        answers.append(sweep().messages_lost)

    assert answers == [0, 1, 0, 1]
    assert chunks.get().sent_count == 3


def test_an_expired_lease_frees_the_chunk(batch: ImportBatch, chunks: Any) -> None:
    chunks.update(status=Status.PROCESSING, attempts=1, lease_until=timezone.now() - HOUR, sent_at=timezone.now())

    swept = sweep()

    assert (swept.leases_expired, swept.messages_sent) == (1, 1)
    assert chunks.get().status == Status.PENDING


def test_a_living_lease_is_respected(batch: ImportBatch, chunks: Any) -> None:
    now = timezone.now()
    chunks.update(status=Status.PROCESSING, attempts=1, lease_until=now + HOUR, sent_at=now - HOUR)

    swept = sweep()

    assert (swept.leases_expired, swept.messages_lost, swept.messages_sent) == (0, 0, 0)


def test_an_expired_lease_without_attempts_left_fails_the_chunk_and_closes_its_batch(
    batch: ImportBatch, chunks: Any
) -> None:
    chunks.update(status=Status.PROCESSING, attempts=5, lease_until=timezone.now() - HOUR)

    swept = sweep()

    batch.refresh_from_db()
    assert swept.batches_finished == 1
    assert (batch.status, chunks.get().error_code) == (Status.FAILED, "attempts_exhausted")


def test_a_chunk_waits_for_its_delay(batch: ImportBatch, chunks: Any) -> None:
    chunks.update(not_before=timezone.now() + HOUR)

    assert sweep().messages_sent == 0
    chunks.update(not_before=timezone.now() - HOUR)
    assert sweep().messages_sent == 1


def test_a_batch_nobody_closed_is_closed_and_announced(batch: ImportBatch, chunks: Any) -> None:
    """The worker died between the last chunk's commit and finish, then another before the announcement."""
    heard: list[Any] = []
    chunks.update(status=Status.COMPLETED, inserted=1)

    def hear(*, batch: ImportBatch, **kwargs: Any) -> None:
        heard.append(batch.pk)

    batch_finished.connect(hear)
    try:
        assert sweep().batches_finished == 1
        ImportBatch.objects.using(database()).update(finished_at=timezone.now() - HOUR)
        first, second = sweep(), sweep()
    finally:
        batch_finished.disconnect(hear)

    assert (first.batches_announced, second.batches_announced) == (1, 0)
    assert heard == [batch.pk]


def test_payloads_go_when_their_time_is_over(user: Any, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"PAYLOAD_RETENTION": timedelta(days=1)}
    ingest(healthkit_body(quantity()), user=user)
    kept = sweep().payloads_purged
    ImportChunk.objects.using(database()).update(finished_at=timezone.now() - timedelta(days=2))

    purged = sweep().payloads_purged

    assert (kept, purged) == (0, 1)
    assert ImportChunk.objects.using(database()).get().payload is None


def test_a_tally_goes_with_the_payload_it_tells_to_read(user: Any, settings: Any, chunks: Any) -> None:
    settings.HEALTHKIT_INGEST = {"PAYLOAD_RETENTION": timedelta(days=1), "CHUNK_SIZE": 1}
    ingest(healthkit_body(*(quantity(uuid=None, value=value) for value in (1, 2))), user=user)
    first, second = chunks.order_by("pk")
    chunks.filter(pk=first.pk).update(finished_at=timezone.now() - timedelta(days=2))

    sweep()

    assert list(Tally.objects.using(database()).values_list("chunk_id", flat=True)) == [second.pk]


def test_unfinished_payloads_are_never_purged(batch: ImportBatch, chunks: Any, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"PAYLOAD_RETENTION": timedelta(microseconds=1), "CHUNK_SIZE": 1}
    batch.chunks.create(
        user_id=batch.user_id, index=9, section="samples", first_index=9, payload=b"x", finished_at=timezone.now()
    )

    sweep()

    assert not chunks.filter(payload=None).exists()


def test_none_keeps_payloads(user: Any, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"PAYLOAD_RETENTION": None}
    ingest(healthkit_body(quantity()), user=user)
    ImportChunk.objects.using(database()).update(finished_at=timezone.now() - timedelta(days=9999))

    assert sweep().payloads_purged == 0


def test_the_command_says_what_it_did(batch: ImportBatch, capsys: Any, messages: Any) -> None:
    call_command("healthkit_ingest_sweep", json=True)
    counts = json.loads(capsys.readouterr().out)
    for message in list(messages):
        if message.name == queues.PROCESS_CHUNK:
            process(chunk_id=message.ids["chunk_id"], task_id="a")
    call_command("healthkit_ingest_sweep")

    assert counts["messages_sent"] == 1
    assert "messages sent: 0" in capsys.readouterr().out
