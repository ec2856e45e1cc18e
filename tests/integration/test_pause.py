"""One switch stops processing, one stops intake; both for all processes at once, both without losing anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.utils import timezone

from django_healthkit_ingest import queues
from django_healthkit_ingest.conf import SHIPPED_FORMATS
from django_healthkit_ingest.core.states import Pausable, Status
from django_healthkit_ingest.exceptions import IntakePaused
from django_healthkit_ingest.models import ImportBatch, ImportUpload, database
from django_healthkit_ingest.pipeline.dispatch import dispatch
from django_healthkit_ingest.pipeline.offer import offer_upload, receive
from django_healthkit_ingest.pipeline.process import process
from django_healthkit_ingest.pipeline.split import split
from django_healthkit_ingest.pipeline.sweep import sweep
from django_healthkit_ingest.pipeline.switches import pause, paused, resume
from django_healthkit_ingest.pipeline.upload import accept_upload
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import quantity
from tests.line_format import SETTING, lines

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture
def batch(accepted: Callable[..., ImportBatch], settings: Any) -> ImportBatch:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 1}
    return accepted(healthkit_body(*(quantity() for _ in range(3))))


def sent(messages: Any) -> list[int]:
    return [message.ids["chunk_id"] for message in messages if message.name == queues.PROCESS_CHUNK]


def run(*arguments: str) -> Any:
    out = StringIO()
    call_command("healthkit_ingest_pause", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_while_processing_is_paused_messages_are_used_up_and_chunks_wait(
    batch: ImportBatch, chunks: Any, messages: Any
) -> None:
    dispatch(user_id=batch.user_id, lane=batch.lane)
    under_way = sent(messages)
    pause(Pausable.PROCESSING)
    messages.clear()

    for chunk_id in under_way:
        process(chunk_id=chunk_id, task_id=str(chunk_id))
    sweep()

    assert len(under_way) == 2
    assert not messages
    states = set(chunks.filter(batch=batch).values_list("status", "attempts", "sent_at", "sent_count"))
    assert states == {(Status.PENDING, 0, None, 0)}


def test_a_redelivered_chunk_is_put_back_and_its_dead_worker_could_not_complete_it(
    batch: ImportBatch, chunks: Any, messages: Any
) -> None:
    first = chunks.filter(batch=batch).earliest("index")
    mine = chunks.filter(pk=first.pk)
    mine.claim(task_id="dead", now=timezone.now(), lease=timedelta(minutes=5), max_attempts=5)
    pause(Pausable.PROCESSING)

    process(chunk_id=first.pk, task_id="dead")

    first.refresh_from_db()
    assert (first.status, first.lease_until) == (Status.PENDING, None)
    assert not mine.complete(claim_no=first.claim_no, now=timezone.now(), books={"inserted": 1})


def test_a_living_workers_chunk_is_brought_to_its_end(batch: ImportBatch, chunks: Any, messages: Any) -> None:
    first = chunks.filter(batch=batch).earliest("index")
    chunks.filter(pk=first.pk).claim(task_id="live", now=timezone.now(), lease=timedelta(minutes=5), max_attempts=5)
    pause(Pausable.PROCESSING)

    process(chunk_id=first.pk, task_id="another")

    first.refresh_from_db()
    assert (first.status, first.claimed_by) == (Status.PROCESSING, "live")


def test_intake_goes_on_while_processing_is_paused(user: Any) -> None:
    pause(Pausable.PROCESSING)
    batch = ingest(healthkit_body(quantity()), user=user)
    assert batch.status == Status.PENDING
    resume(Pausable.PROCESSING)

    with queues.captured() as messages:
        sweep()
        for chunk_id in sent(messages):
            process(chunk_id=chunk_id, task_id="a")

    batch.refresh_from_db()
    assert (batch.status, batch.inserted) == (Status.COMPLETED, 1)


def test_files_are_not_cut_while_processing_is_paused(user: Any, messages: Any, settings: Any, tmp_path: Any) -> None:
    settings.HEALTHKIT_INGEST = SETTING
    settings.MEDIA_ROOT = tmp_path
    batch = accept_upload(ContentFile(lines(3)), user=user, format="lines")
    upload = ImportUpload.objects.using(database()).get(batch=batch)
    pause(Pausable.PROCESSING)

    split(upload_id=upload.pk, task_id="a")
    during = (sweep().uploads_sent, batch.chunks.count())
    upload.refresh_from_db()
    resume(Pausable.PROCESSING)
    after = sweep().uploads_sent
    split(upload_id=upload.pk, task_id="b")

    assert (during, upload.sent_at, upload.attempts) == ((0, 0), None, 0)
    assert (after, batch.chunks.count()) == (1, 2)


def test_paused_intake_takes_nothing_and_workers_go_on(
    accepted: Callable[..., ImportBatch], user: Any, chunks: Any, settings: Any, tmp_path: Any
) -> None:
    settings.HEALTHKIT_INGEST = {"FORMATS": [*SHIPPED_FORMATS, *SETTING["FORMATS"]]}
    settings.MEDIA_ROOT = tmp_path
    content = healthkit_body(quantity())
    batch = accepted(content, idempotency_key="once")
    token = offer_upload(user=user).token
    pause(Pausable.INTAKE)

    for refused in (
        lambda: accepted(content),
        lambda: accepted(content, idempotency_key="once"),
        lambda: accept_upload(ContentFile(lines(3)), user=user, format="lines"),
        lambda: offer_upload(user=user),
        lambda: receive([b"bytes"], token=token, user=user),
    ):
        with pytest.raises(IntakePaused) as caught:
            refused()
        assert caught.value.retry_after > 0
    process(chunk_id=batch.chunks.get().pk, task_id="a")

    assert chunks.get().status == Status.COMPLETED
    assert ImportBatch.objects.using(database()).count() == 1


def test_the_command_switches_off_and_on_again(batch: ImportBatch, messages: Any) -> None:
    answers = [
        run("processing"),
        run("processing"),
        run("intake"),
        run("intake", "--resume"),
        run("processing", "--resume"),
        run("processing", "--resume"),
    ]

    assert answers == [
        {"paused": ["processing"], "changed": True},
        {"paused": ["processing"], "changed": False},
        {"paused": ["intake", "processing"], "changed": True},
        {"paused": ["processing"], "changed": True},
        {"paused": [], "changed": True},
        {"paused": [], "changed": False},
    ]
    assert paused() == frozenset()
    assert len(sent(messages)) == 2, "going on means sending what waits"
