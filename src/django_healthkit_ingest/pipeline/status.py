"""The read model of a batch: what both APIs, the admin and the commands show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django_healthkit_ingest.core.states import FINAL, OUTCOMES, Lane, Status
from django_healthkit_ingest.models import ImportBatch, ImportUpload

RETRY_AFTER = 2
"""Seconds until asking again is worth it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStatus:
    """One batch as its user may see it; ``records`` always adds up: received = the sum of its other terms.

    While a file is still being cut into chunks the totals (``chunks`` total, ``records`` received) are None.
    """

    id: UUID
    status: Status
    format: str
    lane: Lane
    created_at: datetime
    finished_at: datetime | None
    chunks: Mapping[str, int | None]
    records: Mapping[str, int | None]
    rows_removed: int
    """By deletions, newer versions and complete windows."""
    unknown_types: Mapping[str, int]
    anchors_released: bool
    warnings: tuple[str, ...]
    error_code: str | None
    retry_after: int | None


def describe(batch: ImportBatch) -> BatchStatus:
    """Read the chunks once (two queries while the batch runs or has unknown types to show)."""
    chunks = batch.chunks.all()
    books = chunks.books()
    status = Status(batch.status)
    return BatchStatus(
        id=batch.uuid,
        status=status,
        format=batch.format,
        lane=Lane(batch.lane),
        created_at=batch.created_at,
        finished_at=batch.finished_at if status in FINAL else None,
        chunks={
            "total": batch.chunk_count if batch.split_done else None,
            **{each.lower(): books[f"chunks_{each.lower()}"] for each in Status},
        },
        records=_records(batch.received if batch.split_done else None, books),
        rows_removed=books["rows_removed"] + batch.rows_reconciled,
        unknown_types=batch.unknown_types if status in FINAL else chunks.unknown_types(),
        anchors_released=batch.anchors_released_at is not None,
        warnings=tuple(batch.warnings),
        error_code=_error(batch),
        retry_after=None if status in FINAL else RETRY_AFTER,
    )


def _records(received: int | None, books: Mapping[str, int]) -> dict[str, int | None]:
    """The outcomes under the names clients know: adopting is an update, a tombstone supersedes."""
    shown = {name: books[name] for name in OUTCOMES if name not in ("adopted", "buried")}
    shown["updated"] += books["adopted"]
    shown["superseded"] += books["buried"]
    return {"received": received, "pending": books["pending"], **shown, "failed": books["failed"]}


def _error(batch: ImportBatch) -> str | None:
    if batch.status != Status.FAILED:
        return None
    failed = batch.chunks.filter(status=Status.FAILED).order_by("index")
    uploads = ImportUpload.objects.using(batch._state.db).filter(batch=batch)
    codes = (*failed.values_list("error_code", flat=True)[:1], *uploads.values_list("error_code", flat=True))
    return next(filter(None, codes), None)
