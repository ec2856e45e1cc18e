"""One chunk: claim it, see it through, advance the chain."""

from __future__ import annotations

import logging
import time

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.utils import timezone

from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.core.states import Pausable, Status
from django_healthkit_ingest.models import ImportBatch, ImportChunk, database
from django_healthkit_ingest.pipeline.advance import advance
from django_healthkit_ingest.pipeline.complete import complete
from django_healthkit_ingest.pipeline.erase import erase_user, user_exists
from django_healthkit_ingest.pipeline.failures import (
    PERMANENT,
    TRANSIENT,
    LostClaim,
    backoff,
    crashed,
    drop_broken_connection,
)
from django_healthkit_ingest.pipeline.measures import chunk_completed, chunk_retried, chunks_failed, ids_of
from django_healthkit_ingest.pipeline.switches import is_paused, unless_paused
from django_healthkit_ingest.queues import PROCESS_CHUNK, enqueue, lease

logger = logging.getLogger("django_healthkit_ingest")


def process(*, chunk_id: int, task_id: str) -> None:
    """Claim the chunk and see it through, then advance the chain, whatever the claim said.

    An error that is in neither list of ``failures`` escapes as ChunkCrashed: the message is not acknowledged and comes
    back. While processing is paused the chunk is put back instead, unsent and without an attempt: the message is used
    up, and its next one is sent when the pause is over.
    """
    chunk = _claim(chunk_id=chunk_id, task_id=task_id)
    if chunk is not None:
        _run(chunk)
    advance(chunk_id=chunk_id, chunk=chunk)


def _claim(*, chunk_id: int, task_id: str) -> ImportChunk | None:
    using = database()
    chunks = ImportChunk.objects.using(using).filter(pk=chunk_id)
    now = timezone.now()
    limit = get_settings().max_attempts
    with transaction.atomic(using=using):
        free = chunks.filter(unless_paused(Pausable.PROCESSING))
        if not free.claim(task_id=task_id, now=now, lease=lease(), max_attempts=limit):
            if is_paused(Pausable.PROCESSING):
                chunks.put_back(task_id=task_id, now=now)
            elif chunks.give_up(task_id=task_id, now=now, max_attempts=limit):
                logger.error("Chunk %s is FAILED: its attempts are exhausted.", chunk_id, extra={"chunk_id": chunk_id})
                chunks_failed(chunk_id=chunk_id)
            return None
        chunk = chunks.select_related("batch").get()
        if chunk.batch.status == Status.PENDING:
            ImportBatch.objects.using(using).filter(pk=chunk.batch_id).begin()
    if chunk.attempts > 1:
        chunk_retried(chunk)
    return chunk


def _run(chunk: ImportChunk) -> None:
    mine = ImportChunk.objects.using(database()).filter(pk=chunk.pk)
    ids = ids_of(chunk)
    started = time.monotonic()
    try:
        if user_exists(user_id=chunk.user_id):
            books = complete(chunk)
            chunk_completed(chunk, seconds=time.monotonic() - started, books=books)
        else:  # deleted between accepting and now; nobody may inherit the data
            erase_user(user_id=chunk.user_id)
    except LostClaim:
        logger.info("Chunk %s was taken over by another worker.", chunk.pk, extra=ids)
    except PERMANENT as error:
        logger.error("Chunk %s is FAILED: %s.", chunk.pk, error.code, extra=ids)
        if mine.fail(claim_no=chunk.claim_no, now=timezone.now(), code=error.code):
            chunks_failed(**ids)
    except TRANSIENT as error:
        drop_broken_connection()
        wait = backoff(chunk.attempts)
        logger.warning("Chunk %s is put back (%s).", chunk.pk, type(error).__name__, extra=ids)
        postponed = mine.postpone(claim_no=chunk.claim_no, until=timezone.now() + wait)
        whose, lane = chunk.user_id, chunk.lane
        if postponed and not enqueue(PROCESS_CHUNK, user_id=whose, lane=lane, delay=wait, chunk_id=chunk.pk):
            mine.mark_unsent()
    except ImproperlyConfigured:
        raise
    except Exception as error:  # noqa: BLE001 - raised again, without its text
        raise crashed(error, chunk_id=chunk.pk) from None
