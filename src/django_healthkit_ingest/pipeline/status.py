"""The read model of a batch: what both APIs, the admin and the commands show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict, cast
from uuid import UUID

from django.utils import timezone

from django_healthkit_ingest.core.states import FINAL, OUTCOMES, Lane, Status
from django_healthkit_ingest.models import ImportBatch, ImportChunk, ImportUpload, database
from django_healthkit_ingest.pipeline.estimate import estimate_finish, estimate_finishes
from django_healthkit_ingest.querysets.chunks import CANCELLED, NO_BOOKS

SOONEST, LATEST = 2, 30
"""Seconds until asking again is worth it."""


class ChunkCounts(TypedDict):
    total: int | None
    pending: int
    processing: int
    completed: int
    failed: int


class RecordCounts(TypedDict):
    """``received`` is the sum of the others."""

    received: int | None
    pending: int
    inserted: int
    updated: int
    duplicate: int
    superseded: int
    deletion: int
    statistic: int
    withheld: int
    rejected: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCode:
    code: str


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
    chunks: ChunkCounts
    records: RecordCounts
    rows_removed: int
    """By deletions, newer versions and complete windows."""
    unknown_types: Mapping[str, int]
    anchors_released: bool
    warnings: tuple[str, ...]
    error: ErrorCode | None
    estimated_finish_at: datetime | None
    """As fast as this server's chunks went lately; None once it is finished, or if nothing went lately."""
    retry_after: int | None


def describe(batch: ImportBatch) -> BatchStatus:
    (status,) = describe_all([batch])
    return status


def describe_new(batch: ImportBatch) -> BatchStatus:
    """As it was committed by this process just now: what is known of it is not asked again."""
    waiting = {"chunks_pending": batch.chunk_count, "pending": batch.received}
    return _describe(
        batch,
        books={**NO_BOOKS, **waiting},
        unknown_types={},
        error_code=None,
        estimate=estimate_finish(batch),
    )


def describe_all(batches: Sequence[ImportBatch]) -> list[BatchStatus]:
    """In the order given; as many queries for a page of batches as for one.

    One on the chunks of all; three more if one of them is not finished, two if one is FAILED.
    """
    keys = [batch.pk for batch in batches]
    books = ImportChunk.objects.using(database()).filter(batch__in=keys).books_by_batch()
    running = [batch for batch in batches if batch.status not in FINAL]
    estimates = estimate_finishes(running)
    unknown = _unknown_types(running)
    errors = _errors([batch for batch in batches if batch.status == Status.FAILED])
    return [
        _describe(
            batch,
            books=books.get(batch.pk, NO_BOOKS),
            unknown_types=unknown.get(batch.pk, {}) if batch.status not in FINAL else batch.unknown_types,
            error_code=errors.get(batch.pk),
            estimate=estimates.get(batch.pk),
        )
        for batch in batches
    ]


def _describe(
    batch: ImportBatch,
    *,
    books: Mapping[str, int],
    unknown_types: Mapping[str, int],
    error_code: str | None,
    estimate: datetime | None,
) -> BatchStatus:
    status = Status(batch.status)
    counted = {each.lower(): books[f"chunks_{each.lower()}"] for each in Status}
    return BatchStatus(
        id=batch.uuid,
        status=status,
        format=batch.format,
        lane=Lane(batch.lane),
        created_at=batch.created_at,
        finished_at=batch.finished_at if status in FINAL else None,
        chunks=cast("ChunkCounts", {"total": batch.chunk_count if batch.split_done else None, **counted}),
        records=_records(batch.received if batch.split_done else None, books),
        rows_removed=books["rows_removed"] + batch.rows_reconciled,
        unknown_types=unknown_types,
        anchors_released=batch.anchors_released_at is not None,
        warnings=tuple(batch.warnings),
        error=ErrorCode(code=error_code) if error_code else None,
        estimated_finish_at=estimate,
        retry_after=None if status in FINAL else _retry_after(estimate),
    )


def _retry_after(estimate: datetime | None) -> int:
    """A quarter of what is left, within bounds: a phone asks a few times and not every two seconds."""
    left = (estimate - timezone.now()).total_seconds() if estimate is not None else 0
    return round(min(max(left / 4, SOONEST), LATEST))


def _records(received: int | None, books: Mapping[str, int]) -> RecordCounts:
    """The outcomes under the names clients know: adopting is an update, a tombstone supersedes."""
    shown = {name: books[name] for name in OUTCOMES if name not in ("adopted", "buried")}
    shown["updated"] += books["adopted"]
    shown["superseded"] += books["buried"]
    counts = {"received": received, "pending": books["pending"], **shown, "failed": books["failed"]}
    return cast("RecordCounts", counts)


def _unknown_types(batches: Iterable[ImportBatch]) -> dict[int, dict[str, int]]:
    keys = [batch.pk for batch in batches]
    if not keys:
        return {}
    return ImportChunk.objects.using(database()).filter(batch__in=keys).unknown_types_by_batch()


def _errors(batches: Iterable[ImportBatch]) -> dict[int, str]:
    """Of each batch the code of its first failed chunk, else its file's; ``cancelled`` outweighs both."""
    keys = [batch.pk for batch in batches]
    if not keys:
        return {}
    using = database()
    uploads = ImportUpload.objects.using(using).filter(batch__in=keys).exclude(error_code="")
    codes = dict(uploads.values_list("batch_id", "error_code"))
    failed = ImportChunk.objects.using(using).filter(batch__in=keys, status=Status.FAILED).exclude(error_code="")
    # The first of each batch comes last and stays.
    codes.update(failed.order_by("batch_id", "-index").values_list("batch_id", "error_code"))
    codes.update(
        failed.filter(error_code=CANCELLED).order_by("batch_id").values_list("batch_id", "error_code").distinct()
    )
    return codes
