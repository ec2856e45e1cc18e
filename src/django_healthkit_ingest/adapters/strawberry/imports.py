"""What a phone sends, and what became of it."""

from __future__ import annotations

from datetime import datetime

import strawberry
from strawberry.scalars import JSON

from django_healthkit_ingest.adapters.strawberry.answers import Connection, connect, part, show, uuid_of
from django_healthkit_ingest.adapters.strawberry.bodies import HealthKitImportInput, take
from django_healthkit_ingest.adapters.strawberry.door import Visitor, note, offer, tell
from django_healthkit_ingest.adapters.strawberry.enums import HealthKitImportStatus, HealthKitLane
from django_healthkit_ingest.adapters.strawberry.scalars import BigInt
from django_healthkit_ingest.exceptions import InvalidQuery
from django_healthkit_ingest.pipeline.cancel import cancel
from django_healthkit_ingest.pipeline.imports import get_import, list_imports, list_rejections
from django_healthkit_ingest.pipeline.offer import MEDIA_TYPE, offer_upload
from django_healthkit_ingest.pipeline.retry import retry
from django_healthkit_ingest.pipeline.status import BatchStatus


@strawberry.type(description="`total` is null while a file is still being cut into chunks.")
class HealthKitChunkCounts:
    total: int | None
    pending: int
    processing: int
    completed: int
    failed: int


@strawberry.type(description="`received` is the sum of the others; null while a file is still being cut into chunks.")
class HealthKitRecordCounts:
    received: BigInt | None
    pending: BigInt
    inserted: BigInt
    updated: BigInt
    duplicate: BigInt
    superseded: BigInt
    deletion: BigInt
    statistic: BigInt
    withheld: BigInt
    rejected: BigInt
    failed: BigInt


@strawberry.type
class HealthKitError:
    code: str


@strawberry.type(description="A record that was not stored, and why. `index` counts in the request's array `section`.")
class HealthKitRejection:
    chunk: int
    section: str
    index: int
    field: str
    code: str
    detail: str


def read_rejected(
    visitor: strawberry.Parent[Visitor], first: int | None = 50, after: str | None = strawberry.UNSET
) -> Connection[HealthKitRejection]:
    """Raises InvalidQuery in a list of imports, each of which would take queries of its own."""
    if not visitor.parent.is_alone:
        raise InvalidQuery("'rejected' is told of one import: ask for it with 'healthkitImport'.")
    import_id = uuid_of(visitor.parent.id)
    page = list_rejections(user=visitor.user, import_id=import_id, **part(first, after))
    return connect(page, [show(HealthKitRejection, row) for row in page.rows])


@strawberry.type(description="One sync of one device: what was sent, and what has become of it.")
class HealthKitImport:
    visitor: strawberry.Private[Visitor]
    is_alone: strawberry.Private[bool]
    id: strawberry.ID
    status: HealthKitImportStatus
    format: str
    lane: HealthKitLane
    created_at: datetime
    finished_at: datetime | None
    chunks: HealthKitChunkCounts
    records: HealthKitRecordCounts
    rows_removed: int = strawberry.field(description="By deletions, newer versions and complete windows.")
    unknown_types: JSON = strawberry.field(description="Stored whole, but not understood: how many of each.")
    anchors_released: bool
    warnings: list[str]
    error: HealthKitError | None
    estimated_finish_at: datetime | None
    retry_after: int | None = strawberry.field(description="Seconds until asking again is worth it.")
    rejected = offer(read_rejected, open_to_devices=True, description="Of one import only, not in lists.")


def show_import(status: BatchStatus, *, visitor: Visitor, is_alone: bool = True) -> HealthKitImport:
    return show(
        HealthKitImport,
        status,
        visitor=visitor,
        is_alone=is_alone,
        status=HealthKitImportStatus(status.status.value),
        lane=HealthKitLane(status.lane.value),
        chunks=show(HealthKitChunkCounts, status.chunks),
        records=show(HealthKitRecordCounts, status.records),
        error=show(HealthKitError, status.error) if status.error is not None else None,
    )


def read_import(visitor: strawberry.Parent[Visitor], id: strawberry.ID, wait: int | None = 0) -> HealthKitImport | None:
    status = get_import(user=visitor.user, import_id=uuid_of(id), wait=wait or 0)
    return show_import(status, visitor=visitor)


def read_imports(
    visitor: strawberry.Parent[Visitor],
    first: int | None = 50,
    after: str | None = strawberry.UNSET,
    status: HealthKitImportStatus | None = strawberry.UNSET,
    idempotency_key: str | None = strawberry.UNSET,
    body_sha256: str | None = strawberry.UNSET,
) -> Connection[HealthKitImport]:
    page = list_imports(
        user=visitor.user,
        status=status.value if status is not None else None,
        idempotency_key=idempotency_key,
        body_sha256=body_sha256,
        **part(first, after),
    )
    return connect(page, [show_import(row, visitor=visitor, is_alone=False) for row in page.rows])


def ingest(visitor: strawberry.Parent[Visitor], input: HealthKitImportInput) -> HealthKitImport:
    taken = take(input, visitor=visitor)
    note(visitor.info, taken.allowances)
    if taken.replayed:
        tell(visitor.info, {"Idempotency-Replayed": "true"})
    return show_import(taken.status, visitor=visitor)


def retry_import(visitor: strawberry.Parent[Visitor], id: strawberry.ID) -> HealthKitImport:
    return show_import(retry(user=visitor.user, import_id=uuid_of(id)), visitor=visitor)


def cancel_import(visitor: strawberry.Parent[Visitor], id: strawberry.ID) -> HealthKitImport:
    return show_import(cancel(user=visitor.user, import_id=uuid_of(id)), visitor=visitor)


@strawberry.type(description="Send the file there in this way, then `upload` to `healthkitIngest`.")
class HealthKitUpload:
    upload: str = strawberry.field(description="A token, signed for its user.")
    method: str
    url: str | None = strawberry.field(description="Null where this server has no door for files.")
    headers: JSON
    expires_at: datetime


def offer_file(visitor: strawberry.Parent[Visitor]) -> HealthKitUpload:
    offered = offer_upload(user=visitor.user)
    url = offered.url or visitor.url("upload-detail", offered.token)
    headers = {"Content-Type": MEDIA_TYPE}
    return show(HealthKitUpload, offered, upload=offered.token, method="PUT", url=url, headers=headers)
