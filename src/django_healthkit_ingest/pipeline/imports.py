"""Reading a user's imports: one, the one a client is waiting for, all, and what was rejected."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.core.states import FINAL, Status
from django_healthkit_ingest.exceptions import InvalidQuery, NotFound
from django_healthkit_ingest.models import ImportBatch, RejectedSample, database
from django_healthkit_ingest.pipeline.owned import owned
from django_healthkit_ingest.pipeline.pages import Order, Page, read_page, scope_of
from django_healthkit_ingest.pipeline.status import BatchStatus, describe, describe_all

LOOK_EVERY = 0.25
"""Seconds between two looks at a batch somebody waits for; each costs one row by its key."""

_LATEST_FIRST = Order(field="created_at", descending=True)
_BY_KEY = Order()

_held = threading.Lock()
_waiting = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A record that was not stored, and why; never a value. ``index`` counts in the request's array ``section``."""

    chunk: int
    section: str
    index: int
    field: str
    code: str
    detail: str


def find_import(*, user: Any, import_id: UUID) -> ImportBatch:
    """The user's own. Raises NotFound for everybody else's as for none."""
    batch = owned(ImportBatch, user=user).filter(uuid=import_id).first()
    if batch is None:
        raise NotFound("There is no such import of yours.")
    return batch


def get_import(*, user: Any, import_id: UUID, wait: float = 0) -> BatchStatus:
    """The import's status, held back until it is finished, but for no longer than ``wait`` seconds.

    ``wait`` is cut to ``LONG_POLL``; where ``LONG_POLLS_AT_ONCE`` requests of this process wait already, this one does
    not. Raises NotFound.
    """
    batch = find_import(user=user, import_id=import_id)
    if wait > 0 and batch.status not in FINAL:
        with _slot() as is_free:
            if is_free:
                batch = _wait_for(batch, user=user, seconds=min(wait, get_settings().long_poll.total_seconds()))
    return describe(batch)


def _wait_for(batch: ImportBatch, *, user: Any, seconds: float) -> ImportBatch:
    ends_at = time.monotonic() + seconds
    finished = owned(ImportBatch, user=user).filter(pk=batch.pk, status__in=FINAL)
    while not finished.exists():
        left = ends_at - time.monotonic()
        if left <= 0:
            break
        time.sleep(min(LOOK_EVERY, left))
    return find_import(user=user, import_id=batch.uuid)


@contextmanager
def _slot() -> Iterator[bool]:
    """Whether this request may be held open: every one that is keeps a thread from requests that bring data."""
    global _waiting
    with _held:
        is_free = _waiting < get_settings().long_polls_at_once
        _waiting += is_free
    try:
        yield is_free
    finally:
        with _held:
            _waiting -= is_free


def list_imports(
    *,
    user: Any,
    status: str | None = None,
    idempotency_key: str | None = None,
    body_sha256: str | None = None,
    cursor: str | None = None,
    size: int = 50,
) -> Page[BatchStatus]:
    """Latest first. After a lost answer the key, or the SHA-256 of the decoded body, tells whether the bytes arrived.

    Raises InvalidQuery.
    """
    if status is not None and status not in [*Status]:
        raise InvalidQuery(f"'status' must be one of {', '.join(Status)}.")
    batches = owned(ImportBatch, user=user)
    if status is not None:
        batches = batches.filter(status=status)
    if idempotency_key is not None:
        batches = batches.filter(idempotency_key=_text("idempotency_key", idempotency_key))
    if body_sha256 is not None:
        batches = batches.filter(body_sha256=_text("body_sha256", body_sha256).lower())
    scope = scope_of("imports", user=user, status=status, key=idempotency_key, digest=body_sha256)
    page = read_page(batches, order=_LATEST_FIRST, cursor=cursor, size=size, scope=scope)
    return page.of(describe_all(page.rows))


def _text(name: str, value: str) -> str:
    if "\0" in value:
        raise InvalidQuery(f"Remove the character U+0000 from {name!r}.")
    return value


def list_rejections(*, user: Any, import_id: UUID, cursor: str | None = None, size: int = 100) -> Page[Rejection]:
    """In the order they were found. Raises NotFound, InvalidQuery."""
    batch = find_import(user=user, import_id=import_id)
    rows = RejectedSample.objects.using(database()).filter(chunk__batch=batch).select_related("chunk")
    rows = rows.defer("chunk__payload")
    scope = scope_of("rejections", user=user, batch=batch.pk)
    page = read_page(rows, order=_BY_KEY, cursor=cursor, size=size, scope=scope)
    return page.of([_rejection(row) for row in page.rows])


def _rejection(row: RejectedSample) -> Rejection:
    return Rejection(
        chunk=row.chunk.index,
        section=row.chunk.section,
        index=row.index,
        field=row.field,
        code=row.code,
        detail=row.detail,
    )
