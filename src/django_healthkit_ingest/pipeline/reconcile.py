"""What a complete window does not hold is gone: rows that this installation sent before and has not sent again.

Outside the merge law, for absence has a time and presence has none. Nothing is buried: a sample that is received again
returns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from django_healthkit_ingest.core.samples import Parsed, Rejected, Sample, Section, Withheld
from django_healthkit_ingest.core.twins import Likeness, same_value
from django_healthkit_ingest.exceptions import HealthKitIngestError
from django_healthkit_ingest.models import HealthSample, ImportBatch, database
from django_healthkit_ingest.pipeline.consent import withheld_since
from django_healthkit_ingest.pipeline.read import read
from django_healthkit_ingest.pipeline.store.looks import look, look_of_row
from django_healthkit_ingest.pipeline.store.series import drop_series
from django_healthkit_ingest.querysets import HealthSampleQuerySet
from django_healthkit_ingest.signals import samples_changed

NOT_RECONCILED = "window_not_reconciled"
"""The warning: the batch has complete windows, but not every record of it could be read."""

AT_ONCE = 1000
"""Rows one statement deletes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    identifiers: frozenset[str]
    start: datetime
    end: datetime

    def without(self, withheld: frozenset[str]) -> _Window:
        return _Window(identifiers=self.identifiers - withheld, start=self.start, end=self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What a batch holds of its windows' types, whatever the time: a row's date may be another reading's."""

    uuids: set[UUID] = field(default_factory=set)
    loose: dict[UUID, set[float]] = field(default_factory=dict)
    """How the records without uuid look: the values by twin key."""
    named: dict[UUID, set[float]] = field(default_factory=dict)
    """How those with a uuid look; only if the user has rows without one."""

    def add(self, sample: Sample, *, with_looks: bool) -> None:
        if sample.uuid is not None:
            self.uuids.add(sample.uuid)
        if sample.uuid is None or with_looks:
            like = look(sample)
            (self.loose if sample.uuid is None else self.named).setdefault(like.twin, set()).add(like.value)

    def holds(self, row: HealthSample) -> bool:
        if row.uuid is not None and row.uuid in self.uuids:
            return True
        places = (self.loose,) if row.uuid is not None else (self.loose, self.named)
        like = look_of_row(row) if any(places) else None
        return like is not None and any(_is_in(place, like) for place in places)


def _is_in(looks: Mapping[UUID, set[float]], like: Likeness) -> bool:
    return any(same_value(value, like.value, tolerance=like.tolerance) for value in looks.get(like.twin, ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The windows of a batch that count, and what it holds of their types; None: it cannot be told for certain."""

    windows: tuple[_Window, ...]
    seen: _Seen | None


@dataclass(slots=True)
class _Removed:
    rows: int = 0
    identifiers: set[str] = field(default_factory=set)
    start: datetime | None = None
    end: datetime | None = None

    def add(self, row: HealthSample) -> None:
        self.rows += 1
        self.identifiers.add(row.identifier)
        self.start = min(self.start or row.start, row.start)
        self.end = max(self.end or row.end, row.end)


def survey(batch: ImportBatch) -> Survey | None:
    """Read the batch again for its windows; None if nothing is to be reconciled.

    Slow for a large batch, so it is done before any lock: what a payload says of types that are kept never changes. It
    takes a window that is both complete and readable, an installation that is named, and every sample read: a rejected
    record does not say its type, and would look absent. So would records that were withheld: their types are taken out
    of the windows, and so is whatever the user has decided since the batch came.
    """
    if not (batch.windows and batch.device_id) or batch.reconciled_at is not None:
        return None
    windows = tuple(_windows(batch))
    if not windows:
        return None
    withheld = withheld_since(batch.created_at, user_id=batch.user_id)
    windows = tuple(kept for window in windows if (kept := window.without(withheld)).identifiers)
    try:
        return Survey(windows=windows, seen=_look_through(batch, windows, withheld))
    except HealthKitIngestError:  # today's code cannot read what was stored: then it can tell nothing of what is absent
        return Survey(windows=windows, seen=None)


def reconcile(survey: Survey, *, batch: ImportBatch, using: str) -> None:
    """Remove rows that the windows should hold and do not; the caller holds the user's lock and completes the batch.

    Only rows of the same installation, and none that came with a batch accepted later.
    """
    mine = ImportBatch.objects.using(using).filter(pk=batch.pk)
    if not mine.mark_reconciled(now=timezone.now()):
        return
    if survey.seen is None:
        mine.warn(*batch.warnings, NOT_RECONCILED)
        return
    removed = _Removed()
    for window in survey.windows:
        absent: list[HealthSample] = []
        for row in _rows(window, batch=batch, using=using).iterator(chunk_size=AT_ONCE):
            if not survey.seen.holds(row):
                removed.add(row)
                absent.append(row)
            if len(absent) == AT_ONCE:
                _delete(absent, user_id=batch.user_id, using=using)
                absent = []
        _delete(absent, user_id=batch.user_id, using=using)
    if removed.rows:
        mine.note_reconciled(rows=removed.rows)
        transaction.on_commit(lambda: _announce(batch, removed), using=using, robust=True)


def _windows(batch: ImportBatch) -> Iterator[_Window]:
    for window in batch.windows:
        if window["complete"] and window["readable"]:
            yield _Window(
                identifiers=frozenset(window["types"]),
                start=datetime.fromisoformat(window["start"]),
                end=datetime.fromisoformat(window["end"]),
            )


def _look_through(batch: ImportBatch, windows: tuple[_Window, ...], withheld: frozenset[str]) -> _Seen | None:
    """Chunk by chunk; None if a record cannot be read, or was withheld and nobody knows that it was of these types."""
    wanted = frozenset[str]().union(*(window.identifiers for window in windows))
    rows = HealthSample.objects.using(database()).filter(user_id=batch.user_id, uuid__isnull=True)
    # Not exists(), which has no order: the planner may look for one by reading the table.
    with_looks = rows.order_by("twin").values_list("pk").first() is not None
    seen = _Seen()
    for record in _records(batch) if wanted else ():
        if isinstance(record, Rejected) or (isinstance(record, Withheld) and (record.mixed or not withheld)):
            return None
        for sample in (record, *record.members) if isinstance(record, Sample) else ():
            if sample.identifier in wanted:
                seen.add(sample, with_looks=with_looks)
    return seen


def _records(batch: ImportBatch) -> Iterator[Parsed]:
    chunks = batch.chunks.filter(section=Section.SAMPLES).order_by("index")
    # One by one and without a cursor: outside a transaction a transaction pooler would lose it.
    for chunk_id in list(chunks.values_list("pk", flat=True)):
        chunk = chunks.get(pk=chunk_id)
        chunk.batch = batch
        yield from read(chunk)


def _rows(window: _Window, *, batch: ImportBatch, using: str) -> HealthSampleQuerySet:
    rows = HealthSample.objects.using(using).filter(user_id=batch.user_id).of_type(*window.identifiers)
    rows = rows.filter(batch_id__lte=batch.pk, batch__device_id=batch.device_id).between(window.start, window.end)
    columns = ("uuid", "fingerprint", "start", "end", "value", "category", "type__identifier")
    return rows.select_related("type").only(*columns)


def _delete(rows: list[HealthSample], *, user_id: Any, using: str) -> None:
    if rows:
        HealthSample.objects.using(using).filter(pk__in=[row.pk for row in rows])._raw_delete(using)
        drop_series(rows, user_id=user_id, using=using)


def _announce(batch: ImportBatch, removed: _Removed) -> None:
    samples_changed.send_robust(
        sender=HealthSample,
        user_id=batch.user_id,
        batch_id=batch.pk,
        cause="window",
        identifiers=frozenset(removed.identifiers),
        start=removed.start,
        end=removed.end,
        inserted=0,
        updated=0,
        removed=removed.rows,
    )
