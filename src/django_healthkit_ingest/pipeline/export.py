"""A copy of all that is stored of a user: ordered, written part by part in the background, fetched, and deleted."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.files.base import ContentFile
from django.db import transaction
from django.utils import timezone

from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.core.states import FINAL, Lane, Pausable, Status
from django_healthkit_ingest.exceptions import NotFound
from django_healthkit_ingest.models import Export, database
from django_healthkit_ingest.pipeline.erase import user_exists
from django_healthkit_ingest.pipeline.erasing import check_not_erasing
from django_healthkit_ingest.pipeline.export_files import ERASED, delete_export_files, part_name
from django_healthkit_ingest.pipeline.export_parts import Part, make_part
from django_healthkit_ingest.pipeline.failures import TRANSIENT_OF_FILES, backoff, drop_broken_connection
from django_healthkit_ingest.pipeline.files import delete_files, file_storage
from django_healthkit_ingest.pipeline.owned import owned
from django_healthkit_ingest.pipeline.store.locks import Scope, lock_user
from django_healthkit_ingest.pipeline.switches import is_paused
from django_healthkit_ingest.querysets import ExportQuerySet
from django_healthkit_ingest.querysets.chunks import ATTEMPTS_EXHAUSTED
from django_healthkit_ingest.queues import EXPORT, enqueue, in_this_context, lease

logger = logging.getLogger("django_healthkit_ingest")

SHARE_OF_LEASE = 0.2
"""After so much of it a run ends and sends the next message."""

PIECE = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportStatus:
    """One export as its user may see it."""

    id: UUID
    status: Status
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None
    """Until then the file can be fetched."""
    size: int
    """Bytes written so far."""
    counts: Mapping[str, int]
    """Rows in the file, by kind."""
    error_code: str | None


def order_export(*, user: Any) -> ExportStatus:
    """Have everything of the user written into a file; answered before it is done. An unfinished one is answered again.

    Raises Unavailable while everything of the user is being erased.
    """
    return describe_export(_order(user, is_here=False))


def get_export(*, user: Any, export_id: UUID) -> ExportStatus:
    """Raises NotFound."""
    export = owned(Export, user=user).filter(uuid=export_id).first()
    if export is None:
        raise NotFound("There is no such export of yours.")
    return describe_export(export)


def open_export(*, user: Any, export_id: UUID) -> tuple[Iterator[bytes], int]:
    """The file, gzip-compressed JSON lines, in pieces; and its bytes. Raises NotFound before it is done and after it
    expired."""
    export = owned(Export, user=user).fetchable(now=timezone.now()).filter(uuid=export_id).first()
    if export is None:
        raise NotFound("There is no such export of yours, or its file is not there yet, or not any more.")
    return _pieces(export.position["files"]), export.size


def describe_export(export: Export) -> ExportStatus:
    return ExportStatus(
        id=export.uuid,
        status=Status(export.status),
        created_at=export.created_at,
        finished_at=export.finished_at,
        expires_at=export.expires_at,
        size=export.size,
        counts=dict(export.counts),
        error_code=export.error_code or None,
    )


def export(*, export_id: int) -> None:
    """Write parts for a share of the lease, then send the next message, unless the file is done.

    While processing is paused nothing is written; the message is used up, and sweep sends the next one after the pause.
    """
    exports = Export.objects.using(database()).filter(pk=export_id).unfinished()
    if is_paused(Pausable.PROCESSING):
        exports.mark_unsent()
        return
    order = exports.first()
    if order is None:
        return
    try:
        if write_on(export_id=export_id):
            send_export(order)
    except TRANSIENT_OF_FILES as error:
        drop_broken_connection()
        logger.warning("Export %s is put back (%s).", export_id, type(error).__name__)
        send_export(order, delay=backoff(2))


def export_user(*, user: Any) -> ExportStatus:
    """The same at once, in this process and to its end, without a broker and whether or not processing is paused.

    Raises Unavailable as ``order_export`` does.
    """
    order = _order(user, is_here=True)
    while order.status not in FINAL:
        write_on(export_id=order.pk)
        order.refresh_from_db()
    return describe_export(order)


def send_export(order: Export, *, delay: timedelta | None = None) -> bool:
    """The next message, unless somebody has sent one since the order was read."""
    mine = Export.objects.using(database()).filter(pk=order.pk)
    if not mine.filter(sent_at=order.sent_at).mark_sent(now=timezone.now()):
        return False
    if enqueue(EXPORT, user_id=order.user_id, lane=Lane.BACKFILL, delay=delay, export_id=order.pk):
        return True
    mine.mark_unsent()
    return False


def _order(user: Any, *, is_here: bool) -> Export:
    """``is_here``: the caller does the work, and no message is sent."""
    using = database()
    now = timezone.now()
    with transaction.atomic(using=using):
        lock_user(user.pk, scope=Scope.SAMPLES, using=using)
        check_not_erasing(user_id=user.pk)
        known = owned(Export, user=user).unfinished().order_by("pk").first()
        if known is not None:
            return known
        sent_at = now if is_here else None
        order = Export.objects.using(using).create(user_id=user.pk, created_at=now, sent_at=sent_at)
        if not is_here:
            transaction.on_commit(in_this_context(lambda: _send_first(order)), using=using, robust=True)
    return order


def _send_first(order: Export) -> None:
    send_export(order)


def write_on(*, export_id: int) -> bool:
    """Write parts for a share of the lease; whether there is more to write, and nobody else is at it."""
    ends_at = time.monotonic() + lease().total_seconds() * SHARE_OF_LEASE
    claimed = _claim(export_id)
    while claimed is not None:
        order, name = claimed
        part = make_part(order, place=order.position.get("place", {}), ends_at=ends_at)
        stored = file_storage().save(name, ContentFile(part.content))
        claimed = _append(order, part, name=name, stored=stored)
        if claimed is not None and time.monotonic() >= ends_at:
            return True
    return False


def _claim(export_id: int) -> tuple[Export, str] | None:
    """The export, and the next part's name, noted before there is such a file; None if there is nothing to write.

    A run that dies is counted, and after ``MAX_ATTEMPTS`` of them without a part between the export is FAILED.
    """
    using = database()
    mine = Export.objects.using(using).filter(pk=export_id)
    with transaction.atomic(using=using):
        order = _held(mine)
        if order is None:
            return None
        tries = order.position.get("tries", 0)
        if not user_exists(user_id=order.user_id):
            mine.fail(now=timezone.now(), code=ERASED)
        elif tries >= get_settings().max_attempts:
            mine.fail(now=timezone.now(), code=ATTEMPTS_EXHAUSTED)
            logger.error("Export %s is FAILED: its attempts are exhausted.", export_id)
        else:
            name = part_name(order.uuid, number=order.parts)
            mine.note(position={**order.position, "tries": tries + 1, "loose": [*_loose(order), name]})
            return order, name
    delete_export_files(order)
    return None


def _append(order: Export, part: Part, *, name: str, stored: str) -> tuple[Export, str] | None:
    """What to write next; None if that was the last part, or somebody else has written this one, or it is not wanted
    any more: then its file goes."""
    using = database()
    mine = Export.objects.using(using).filter(pk=order.pk)
    with transaction.atomic(using=using):
        current = _held(mine, parts=order.parts)
        if current is not None:
            following = part_name(order.uuid, number=order.parts + 1)
            position = {
                "place": part.place,
                "files": [*current.position.get("files", ()), stored],
                "loose": [*(each for each in _loose(current) if each != name), *([] if part.is_last else [following])],
            }
            size = current.size + len(part.content)
            mine.append(parts=order.parts, position=position, counts=part.counts, size=size)
            if part.is_last:
                now = timezone.now()
                mine.complete(now=now, expires_at=now + get_settings().export_retention)
                return None
            current.refresh_from_db()
            return current, following
    delete_files([stored])
    return None


def _held(mine: ExportQuerySet, *, parts: int | None = None) -> Export | None:
    """The unfinished export, ours until the transaction ends; None if it has ended, or got another part meanwhile."""
    if parts is None:
        parts = mine.unfinished().values_list("parts", flat=True).first()
    return mine.first() if parts is not None and mine.hold(parts=parts) else None


def _loose(order: Export) -> list[str]:
    return list(order.position.get("loose", ()))


def _pieces(names: list[str]) -> Iterator[bytes]:
    storage = file_storage()
    for name in names:
        with storage.open(name, "rb") as file:
            while piece := file.read(PIECE):
                yield piece
