"""Everything of a user goes, some rows at a time: imports before samples, so that no merge brings anything back.

A merge that is on its way waits for the user's lock, then finds its chunk gone and rolls back. A step that cuts a file
holds its upload's row, and finds it ended afterwards.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.db import models, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from django_healthkit_ingest.models import Export, ImportBatch, ImportChunk, ImportUpload, Tally, database
from django_healthkit_ingest.pipeline.belongings import (
    CHUNKS,
    CONSENTS,
    DEVICES,
    EXPORTS,
    IMPORTS,
    IMPORTS_AT_ONCE,
    MEMBERSHIPS,
    REJECTIONS,
    SAMPLES,
    SERIES,
    SOURCES,
    STATISTICS,
    SYNC_STATES,
    TALLIES,
    TOMBSTONES,
    TRACES,
    UPLOADS,
    Belonging,
    imports_of,
    take_next,
)
from django_healthkit_ingest.pipeline.export_files import ERASED, end_exports
from django_healthkit_ingest.pipeline.files import delete_files

USER_DELETED = "user_deleted"
"""In an erasure's position: what outlives an erasure that a user asks for goes, too."""

WEIGHTS = {CHUNKS.name: 10, SERIES.name: 10}
"""A payload is some tens of kilobytes: as much work as so many plain rows."""

ABANDONED_AT_ONCE = 1000
"""Imports that one statement changes."""

OF_IMPORTS = (UPLOADS, REJECTIONS, CHUNKS, TALLIES, IMPORTS)
READINGS = (SAMPLES, SERIES, STATISTICS, TOMBSTONES, TRACES, MEMBERSHIPS, SYNC_STATES, SOURCES, EXPORTS)
OF_THE_ACCOUNT = (CONSENTS, DEVICES)
"""What a user has decided, and not what a phone has sent: kept until the user is deleted."""


@dataclass(slots=True, kw_only=True)
class Room:
    """How much of one transaction is left, in plain rows."""

    rows: int

    def of(self, belonging: Belonging) -> int:
        return max(1, self.rows // WEIGHTS.get(belonging.name, 1))

    def take(self, belonging: Belonging, number: int) -> None:
        self.rows -= number * WEIGHTS.get(belonging.name, 1)


def prepare(*, user_id: Any) -> None:
    """No file is cut any more, no import is finished and no export goes on; then the files go.

    Their rows go later, so that no file is forgotten. Each statement is a transaction of its own: a claim holds its
    chunk before its import, a step that erases would hold them the other way round. Inside a caller's transaction the
    files go with its commit.
    """
    using = database()
    uploads = ImportUpload.objects.using(using).filter(batch__user_id=user_id)
    uploads.cancel(now=timezone.now(), code=ERASED)
    stored = list(uploads.undeleted().values_list("pk", "name"))
    if stored:
        names = [name for _, name in stored]
        transaction.on_commit(lambda: delete_files(names), using=using)
        ImportUpload.objects.using(using).filter(pk__in=[pk for pk, _ in stored]).update(name="")
    mine = ImportBatch.objects.using(using).filter(user_id=user_id)
    while mine.abandon(now=timezone.now(), limit=ABANDONED_AT_ONCE):
        continue
    end_exports(user_id=user_id)


def erase_rows(*, user_id: Any, position: dict[str, Any], room: Room) -> tuple[Counter[str], bool]:
    """How many rows of what are gone, and whether nothing is left. The caller holds the user's lock.

    ``position`` is where the next step goes on, and is brought on.
    """
    counts: Counter[str] = Counter()
    doomed = (*OF_IMPORTS, *READINGS, *(OF_THE_ACCOUNT if position.get(USER_DELETED) else ()))
    is_clean = False
    while not is_clean and room.rows > 0:
        is_clean = True
        for belonging in doomed:
            gone = _erase(belonging, user_id=user_id, position=position, limit=room.of(belonging))
            if gone:
                counts[belonging.name] += gone
                room.take(belonging, gone)
                is_clean = False
                if room.rows <= 0 or belonging is IMPORTS:  # then the next imports
                    break
    return counts, is_clean and not _is_anything_held(user_id)


def _erase(belonging: Belonging, *, user_id: Any, position: dict[str, Any], limit: int) -> int:
    if belonging.of_import is not None:
        first = _abandoned(user_id).order_by("pk").values("pk")[:IMPORTS_AT_ONCE]
        rows = belonging.rows_of(first)
        return _delete(belonging, (rows.filter(name="") if belonging is UPLOADS else rows).values("pk")[:limit])
    if belonging is IMPORTS:
        empty = _empty(_abandoned(user_id)).order_by("pk").values("pk")
        return _delete(belonging, empty[: min(limit, IMPORTS_AT_ONCE)])
    rows = belonging.rows(user_id=user_id)
    if belonging is EXPORTS:
        rows = rows.filter(position={})
    found = take_next(belonging, rows, position=position, limit=limit)
    return _delete(belonging, [row.pk for row in found]) if found else 0


def _delete(belonging: Belonging, keys: list[Any] | models.QuerySet[Any, Any]) -> int:
    using = database()
    return belonging.model._base_manager.using(using).filter(pk__in=keys)._raw_delete(using)


def _abandoned(user_id: Any) -> models.QuerySet[ImportBatch]:
    return ImportBatch.objects.using(database()).filter(user_id=user_id).abandoned()


def _empty(batches: models.QuerySet[ImportBatch]) -> models.QuerySet[ImportBatch]:
    """The database holds chunks and uploads to their batch; tallies are found through it alone."""
    for model in (ImportChunk, ImportUpload, Tally):
        batches = batches.filter(~Exists(model._base_manager.using(database()).filter(batch=OuterRef("pk"))))
    return batches


def _is_anything_held(user_id: Any) -> bool:
    """An import that was accepted since its kind was looked at, or what has a file."""
    exports = Export.objects.using(database()).filter(user_id=user_id)
    return imports_of(user_id).exists() or exports.exists()
