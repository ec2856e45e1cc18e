"""Whatever a dead message was about, back to work; what is done stays as it is."""

from __future__ import annotations

from enum import StrEnum

from django.db import transaction
from django.utils import timezone

from django_healthkit_ingest.core.states import FINAL, Status
from django_healthkit_ingest.models import Erasure, Export, ImportBatch, ImportChunk, ImportUpload, database
from django_healthkit_ingest.pipeline.dispatch import dispatch
from django_healthkit_ingest.pipeline.erase import send_erasure
from django_healthkit_ingest.pipeline.export import send_export
from django_healthkit_ingest.pipeline.store.locks import Scope, lock_user
from django_healthkit_ingest.queues import SPLIT_UPLOAD, enqueue


class Revival(StrEnum):
    REPLAYED = "replayed"
    """It is due again, with all its attempts before it."""
    DONE = "done"
    """There was nothing left to do."""
    GONE = "gone"
    """It was erased."""
    BUSY = "busy"
    """A worker has it, or it is FAILED in a batch that has not ended."""
    UNAVAILABLE = "unavailable"
    """It is FAILED and what was received is not there any more."""


def revive_chunk(*, chunk_id: int) -> Revival:
    """A FAILED chunk takes its batch back to PROCESSING.

    While a batch is open its FAILED chunks stay: whoever is closing it may have counted them already.
    """
    using = database()
    chunks = ImportChunk.objects.using(using).filter(pk=chunk_id)
    places = chunks.values_list("user_id", "lane", "batch_id").first()
    if places is None:
        return Revival.GONE
    user_id, lane, batch_id = places
    finished = ImportBatch.objects.using(using).filter(pk=batch_id, finished_at__isnull=False)
    with transaction.atomic(using=using):
        lock_user(user_id, scope=Scope.SAMPLES, using=using)
        is_finished = finished.select_for_update().first() is not None
        if is_finished and chunks.filter(status=Status.FAILED).reopen():
            finished.reopen()
        elif not chunks.restart(now=timezone.now()):
            return _why_not(chunks.first(), is_finished=is_finished)
    dispatch(user_id=user_id, lane=lane)
    return Revival.REPLAYED


def revive_upload(*, upload_id: int) -> Revival:
    using = database()
    uploads = ImportUpload.objects.using(using).filter(pk=upload_id)
    upload = uploads.select_related("batch").first()
    if upload is None:
        return Revival.GONE
    if upload.finished_at is not None:  # and with it its file
        return Revival.UNAVAILABLE if upload.error_code else Revival.DONE
    if not uploads.restart(now=timezone.now()):
        return Revival.BUSY
    whose, lane = upload.batch.user_id, upload.batch.lane
    if not enqueue(SPLIT_UPLOAD, user_id=whose, lane=lane, upload_id=upload_id):
        uploads.mark_unsent()
    return Revival.REPLAYED


def revive_batch(*, batch_id: int) -> Revival:
    """Its chunks wait for no message of their own: the window of its user and lane is filled."""
    batch = ImportBatch.objects.using(database()).filter(pk=batch_id).first()
    if batch is None:
        return Revival.GONE
    if batch.finished_at is not None:
        return Revival.DONE
    dispatch(user_id=batch.user_id, lane=batch.lane)
    return Revival.REPLAYED


def revive_erasure(*, erasure_id: int) -> Revival:
    order = Erasure.objects.using(database()).filter(pk=erasure_id).first()
    if order is None:
        return Revival.GONE
    if order.status in FINAL:
        return Revival.DONE
    send_erasure(order)
    return Revival.REPLAYED


def revive_export(*, export_id: int) -> Revival:
    """GONE when its user's data were erased, and it with them; one that FAILED is ordered anew by its user."""
    order = Export.objects.using(database()).filter(pk=export_id).first()
    if order is None:
        return Revival.GONE
    if order.status in FINAL:
        return Revival.DONE
    send_export(order)
    return Revival.REPLAYED


def _why_not(chunk: ImportChunk | None, *, is_finished: bool) -> Revival:
    if chunk is None:
        return Revival.GONE
    if chunk.status == Status.COMPLETED:
        return Revival.DONE
    return Revival.UNAVAILABLE if chunk.status == Status.FAILED and is_finished else Revival.BUSY
