"""One step of a file: claim the upload, cut what comes next into chunks, send the next step on its way."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import BinaryIO, cast

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.utils import timezone

from django_healthkit_ingest.conf import get_format, get_settings
from django_healthkit_ingest.core.formats.base import FileFormat
from django_healthkit_ingest.core.states import Pausable
from django_healthkit_ingest.exceptions import PayloadUnavailable, UnknownFormat
from django_healthkit_ingest.models import ImportBatch, ImportUpload, database
from django_healthkit_ingest.pipeline.cut import Cut
from django_healthkit_ingest.pipeline.dispatch import dispatch
from django_healthkit_ingest.pipeline.erase import erase_user, user_exists
from django_healthkit_ingest.pipeline.failures import (
    PERMANENT,
    TRANSIENT_OF_FILES,
    LostClaim,
    backoff,
    drop_broken_connection,
    split_crashed,
)
from django_healthkit_ingest.pipeline.files import delete_files, file_storage
from django_healthkit_ingest.pipeline.finish import finish
from django_healthkit_ingest.pipeline.switches import is_paused
from django_healthkit_ingest.queues import SPLIT_UPLOAD, enqueue, lease

logger = logging.getLogger("django_healthkit_ingest")

STEP_SHARE_OF_LEASE = 0.2
"""A step ends long before its lease, so that a live worker never loses it: 66 seconds with Celery's usual limit."""


def split(*, upload_id: int, task_id: str) -> None:
    """Take the upload one step further, then send its chunks and close its batch, whatever the claim said.

    Errors that ``failures`` does not sort escape as SplitCrashed: the message is not acknowledged and comes back. While
    processing is paused the step is not taken; the message is used up, and sweep sends the next one after the pause.
    """
    uploads = ImportUpload.objects.using(database()).filter(pk=upload_id)
    if is_paused(Pausable.PROCESSING):
        uploads.put_back(task_id=task_id, now=timezone.now())
    elif (upload := _claim(upload_id=upload_id, task_id=task_id)) is not None:
        _run(upload)
    for batch_id, user_id, lane in uploads.values_list("batch_id", "batch__user_id", "batch__lane"):
        dispatch(user_id=user_id, lane=lane)
        finish(batch_id=batch_id)
    delete_file(upload_id=upload_id)


def delete_file(*, upload_id: int) -> None:
    """The file of an upload that has no step left, once its end is committed."""
    uploads = ImportUpload.objects.using(database()).filter(pk=upload_id).undeleted()
    for name in uploads.values_list("name", flat=True):
        delete_files([name])
        uploads.update(name="")


def _claim(*, upload_id: int, task_id: str) -> ImportUpload | None:
    using = database()
    uploads = ImportUpload.objects.using(using).filter(pk=upload_id)
    now = timezone.now()
    limit = get_settings().max_attempts
    with transaction.atomic(using=using):
        if not uploads.claim(task_id=task_id, now=now, lease=lease(), max_attempts=limit):
            for spent in uploads.exhausted(task_id=task_id, now=now, max_attempts=limit):
                _give_up(spent, code="attempts_exhausted")
            return None
        upload = uploads.select_related("batch").get()
        ImportBatch.objects.using(using).filter(pk=upload.batch_id).begin()
    return upload


def _give_up(upload: ImportUpload, *, code: str) -> None:
    using = database()
    with transaction.atomic(using=using):
        mine = ImportUpload.objects.using(using).filter(pk=upload.pk)
        if mine.end(claim_no=upload.claim_no, now=timezone.now(), code=code):
            ImportBatch.objects.using(using).filter(pk=upload.batch_id).end_split()
            logger.error("Upload %s is FAILED: %s.", upload.pk, code, extra=_ids(upload))


def _run(upload: ImportUpload) -> None:
    try:
        if not user_exists(user_id=upload.batch.user_id):  # deleted between accepting and now
            erase_user(user_id=upload.batch.user_id)
        elif not _step(upload):
            _send_next(upload)
    except LostClaim:
        logger.info("Upload %s was taken over by another worker.", upload.pk, extra=_ids(upload))
    except PERMANENT as error:
        _give_up(upload, code=error.code)
    except FileNotFoundError:
        _give_up(upload, code=PayloadUnavailable.code)
    except TRANSIENT_OF_FILES as error:
        drop_broken_connection()
        logger.warning("Upload %s is put back (%s).", upload.pk, type(error).__name__, extra=_ids(upload))
        _send_next(upload, delay=backoff(upload.attempts))
    except ImproperlyConfigured:
        raise
    except Exception as error:  # noqa: BLE001 - raised again, without its text
        raise split_crashed(error, upload_id=upload.pk) from None


def _step(upload: ImportUpload) -> bool:
    """Whether the file is done; if not, time is up.

    The clock starts at the first portion: finding the place to go on may take long, and a step must get further.
    """
    wire = get_format(upload.batch.format)
    if not isinstance(wire, FileFormat):
        raise UnknownFormat("The format cannot read files any more; put it back into FORMATS.")
    cut = Cut(upload)
    with file_storage().open(upload.name, "rb") as file:
        position = upload.position.get("reader", {})
        ends_at = None
        source = cast("BinaryIO", file)
        for portion in wire.read_file(source, position=position, size=get_settings().chunk_size):
            ends_at = ends_at or time.monotonic() + lease().total_seconds() * STEP_SHARE_OF_LEASE
            cut.add(portion, read=source.tell())
            # A portion of no records only tells a place: stopping there might mean to come there again for ever.
            time_is_up = bool(portion.records) and time.monotonic() > ends_at
            if time_is_up or cut.is_full():
                cut.commit()
                dispatch(user_id=upload.batch.user_id, lane=upload.batch.lane)
            if time_is_up:
                return False
    cut.commit(is_last=True)
    return True


def _send_next(upload: ImportUpload, *, delay: timedelta | None = None) -> None:
    mine = ImportUpload.objects.using(database()).filter(pk=upload.pk)
    paused = mine.pause(claim_no=upload.claim_no, now=timezone.now())
    whose, lane = upload.batch.user_id, upload.batch.lane
    if paused and not enqueue(SPLIT_UPLOAD, user_id=whose, lane=lane, delay=delay, upload_id=upload.pk):
        mine.mark_unsent()


def _ids(upload: ImportUpload) -> dict[str, int]:
    """For ``extra`` of what is logged about the upload."""
    return {"upload_id": upload.pk, "batch_id": upload.batch_id}
