"""A file becomes a batch: stored and committed before anybody is told so, cut into chunks afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any
from uuid import UUID, uuid4

from django.core.files import File
from django.db import DataError, IntegrityError, transaction
from django.utils import timezone

from django_healthkit_ingest.conf import get_format, get_formats
from django_healthkit_ingest.core.formats.base import FileFormat
from django_healthkit_ingest.core.states import Lane
from django_healthkit_ingest.core.timestamps import find_zone
from django_healthkit_ingest.exceptions import (
    BodyTooLarge,
    FieldError,
    IdempotencyMismatch,
    InvalidEnvelope,
    InvalidUpload,
    UnknownFormat,
)
from django_healthkit_ingest.models import ImportBatch, ImportUpload, database
from django_healthkit_ingest.pipeline.accept import agree, check_key, known_by_key, replayed
from django_healthkit_ingest.pipeline.erasing import check_not_erasing
from django_healthkit_ingest.pipeline.failures import accept_crashed
from django_healthkit_ingest.pipeline.files import (
    check_size,
    delete_files,
    file_name,
    file_storage,
    file_trouble,
    measure,
)
from django_healthkit_ingest.pipeline.offer import read_token
from django_healthkit_ingest.pipeline.pressure import check_backlog
from django_healthkit_ingest.pipeline.switches import check_intake
from django_healthkit_ingest.queues import SPLIT_UPLOAD, enqueue, in_this_context
from django_healthkit_ingest.signals import batch_accepted


def accept_upload(
    file: File[bytes] | str,
    *,
    user: Any,
    format: str | None = None,
    time_zone: str | None = None,
    device: str | None = None,
    client: Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
    lane: str | None = None,
) -> ImportBatch:
    """Commit a file of any size as one batch of the lane BACKFILL, unless ``lane`` says otherwise.

    ``file`` is an open binary file, which is read twice and stored, or the token of an upload that has arrived
    (``offer.offer_upload``). Nothing in it is looked at yet: a file that cannot be read ends as a FAILED batch.

    The same token makes the same batch, however often it comes. An open file is recognised by the
    ``idempotency_key``, as a body is; a token cannot be, since its bytes need not have passed through here, and its
    batch has no ``body_sha256``. Messages and transactions: as for ``accept``.

    Raises UnknownFormat, InvalidEnvelope, BodyTooLarge, IdempotencyMismatch; for a token InvalidUpload (expired, or
    its file has not arrived) and UnknownUpload (not this user's); and TryLater's children, as ``accept`` does.
    """
    check_intake()
    check_key(idempotency_key)
    if any("\0" in str(text) for text in chain(*(client or {}).items())):
        raise InvalidEnvelope("Remove the character U+0000 from 'client'.")
    if time_zone is not None and find_zone(time_zone) is None:
        error = FieldError(pointer="/time_zone", code="invalid_time_zone", detail="Send an IANA name.")
        raise InvalidEnvelope("The time zone must be an IANA name, such as Europe/Berlin.", errors=(error,))
    batch = ImportBatch(
        user_id=user.pk,
        format=_file_format(format).name,
        lane=agree("lane", lane, None) or Lane.BACKFILL,
        time_zone=time_zone or "",
        device_id=agree("device", device, None) or "",
        client=dict(client or {}),
        idempotency_key=idempotency_key,
        split_done=False,
        created_at=timezone.now(),
    )
    if isinstance(file, str):
        return _accept_token(batch, uuid=read_token(file, user=user))
    return _accept_file(batch, file)


def _file_format(name: str | None) -> FileFormat:
    if name is not None:
        wire = get_format(name)
        if isinstance(wire, FileFormat):
            return wire
    able = [wire for wire in get_formats().values() if isinstance(wire, FileFormat)]
    if name is None and len(able) == 1:
        return able[0]
    names = ", ".join(wire.name for wire in able) or "none is installed"
    raise UnknownFormat(f"Name a format whose bodies may be files: {names}.")


def _accept_file(batch: ImportBatch, file: File[bytes]) -> ImportBatch:
    batch.uuid = uuid4()
    with file_trouble():
        size, batch.body_sha256 = measure(file)
    known = replayed(user_id=batch.user_id, key=batch.idempotency_key, digest=batch.body_sha256)
    if known is not None:
        return known
    check_not_erasing(user_id=batch.user_id)
    check_backlog(user_id=batch.user_id)
    with file_trouble():
        name = file_storage().save(file_name(batch.uuid), file)
    return _commit(batch, name=name, size=size)


def _accept_token(batch: ImportBatch, *, uuid: UUID) -> ImportBatch:
    batch.uuid = uuid
    known = _imported(batch)
    if known is not None:
        return known
    check_not_erasing(user_id=batch.user_id)
    check_backlog(user_id=batch.user_id)
    storage = file_storage()
    name = file_name(uuid)
    with file_trouble():
        if not storage.exists(name):
            raise InvalidUpload("Its file has not arrived; send the file to the upload's URL first.")
        size = storage.size(name)
    try:
        check_size(size)
    except BodyTooLarge:
        delete_files([name])
        raise
    return _commit(batch, name=name, size=size)


def _imported(batch: ImportBatch) -> ImportBatch | None:
    """The batch this token already made. Raises IdempotencyMismatch if the key made another one."""
    mine = ImportBatch.objects.using(database()).filter(user_id=batch.user_id)
    known = mine.filter(uuid=batch.uuid).first()
    if known is not None:
        known.replayed = True
        return known
    key = batch.idempotency_key
    if key is not None and known_by_key(user_id=batch.user_id, key=key) is not None:
        raise IdempotencyMismatch("Use a new key for a new upload, or send the first upload's token again.")
    return None


def _commit(batch: ImportBatch, *, name: str, size: int) -> ImportBatch:
    using = database()
    upload = ImportUpload(batch=batch, name=name, size=size, sent_at=batch.created_at)
    try:
        with transaction.atomic(using=using):
            batch.save(using=using, force_insert=True)
            upload.save(using=using, force_insert=True)
            transaction.on_commit(in_this_context(lambda: _after(batch, upload)), using=using, robust=True)
    except (IntegrityError, DataError) as error:
        twin = _winner(batch, name=name)
        if twin is None:
            raise accept_crashed(error) from None
        return twin
    return batch


def _winner(batch: ImportBatch, *, name: str) -> ImportBatch | None:
    """What another request with the same token or key has made meanwhile."""
    if not batch.body_sha256:
        return _imported(batch)
    delete_files([name])
    return replayed(user_id=batch.user_id, key=batch.idempotency_key, digest=batch.body_sha256)


def _after(batch: ImportBatch, upload: ImportUpload) -> None:
    batch_accepted.send_robust(sender=ImportBatch, batch=batch)
    if not enqueue(SPLIT_UPLOAD, user_id=batch.user_id, lane=batch.lane, upload_id=upload.pk):
        ImportUpload.objects.using(database()).filter(pk=upload.pk).mark_unsent()
