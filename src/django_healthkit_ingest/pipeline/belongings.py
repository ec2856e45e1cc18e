"""What belongs to a user, table by table: what an erasure takes and an export gives. A test finds a table left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import models

from django_healthkit_ingest.models import (
    Consent,
    DeviceToken,
    Erasure,
    Export,
    HealthSample,
    ImportBatch,
    ImportChunk,
    ImportUpload,
    Membership,
    RejectedSample,
    SampleSeries,
    Source,
    Statistic,
    SyncState,
    Tally,
    Tombstone,
    Trace,
    database,
)
from django_healthkit_ingest.pipeline.keyset import place_of, read_slice

IMPORTS_AT_ONCE = 100
"""Imports whose own rows are looked for together: those rows are found by their import and not by their user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Belonging:
    """Rows of one table. ``name`` is for counts, ``kind`` for one of them.

    ``order`` is unique within the user and follows an index that starts with the user, or with ``of_import``: the path
    to the import, for rows that are found through it.
    """

    name: str
    kind: str
    model: type[models.Model]
    order: tuple[str, ...]
    of_import: str | None = None
    related: tuple[str, ...] = ()
    """What a line about such a row needs."""

    def rows(self, *, user_id: Any) -> models.QuerySet[Any]:
        """Of rows found through imports this is slow: for tests and for few users."""
        path = "user_id" if self.of_import is None else f"{self.of_import.removesuffix('_id')}__user_id"
        return self._all().filter(**{path: user_id})

    def rows_of(self, imports: Sequence[int] | models.QuerySet[Any]) -> models.QuerySet[Any]:
        return self._all().filter(**{f"{self.of_import}__in": imports})

    def _all(self) -> models.QuerySet[Any]:
        return self.model._base_manager.using(database())


def _own(name: str, kind: str, model: type[models.Model], *order: str, related: tuple[str, ...] = ()) -> Belonging:
    return Belonging(name=name, kind=kind, model=model, order=order, related=related)


def _of_import(
    path: str, name: str, kind: str, model: type[models.Model], *order: str, related: tuple[str, ...] = ()
) -> Belonging:
    return Belonging(name=name, kind=kind, model=model, order=order, of_import=path, related=related)


SOURCES = _own("sources", "source", Source, "key")
CONSENTS = _own("consents", "consent", Consent, "identifier")
DEVICES = _own("devices", "device", DeviceToken, "created_at", "pk")
IMPORTS = _own("imports", "import", ImportBatch, "pk")
UPLOADS = _of_import("batch_id", "uploads", "upload", ImportUpload, "batch_id")
CHUNKS = _of_import("batch_id", "chunks", "payload", ImportChunk, "batch_id", "index")
REJECTIONS = _of_import(
    "chunk__batch_id", "rejections", "rejection", RejectedSample, "chunk_id", "index", related=("chunk",)
)
TALLIES = _of_import("batch_id", "tallies", "tally", Tally, "batch_id", "chunk_id", "type_id", related=("type",))
SAMPLES = _own("samples", "sample", HealthSample, "type_id", "start", "pk", related=("type", "source"))
SERIES = _own("series", "series", SampleSeries, "sample_key", "name")
STATISTICS = _own("statistics", "statistic", Statistic, "type_id", "start", "pk", related=("type", "source"))
TOMBSTONES = _own("tombstones", "tombstone", Tombstone, "uuid")
TRACES = _own("traces", "trace", Trace, "twin", "uuid", "pk")
MEMBERSHIPS = _own("memberships", "membership", Membership, "correlation", "member")
SYNC_STATES = _own("sync_states", "sync_state", SyncState, "device_id", "type_id", related=("type",))
ERASURES = _own("erasures", "erasure", Erasure, "created_at", "pk")
EXPORTS = _own("exports", "export", Export, "created_at", "pk")

BELONGINGS = (
    *(SOURCES, SAMPLES, SERIES, STATISTICS),
    *(IMPORTS, UPLOADS, CHUNKS, REJECTIONS, TALLIES),
    *(TOMBSTONES, TRACES, MEMBERSHIPS, SYNC_STATES),
    *(CONSENTS, DEVICES, ERASURES, EXPORTS),
)


def imports_of(user_id: Any) -> models.QuerySet[ImportBatch]:
    return ImportBatch.objects.using(database()).filter(user_id=user_id)


def read_on(
    belonging: Belonging,
    *,
    user_id: Any,
    place: Mapping[str, Any] | None,
    size: int,
    where: Mapping[str, Any] | None = None,
    only: Sequence[str] = (),
) -> tuple[list[Any], dict[str, Any]]:
    """The next rows behind a place, none at the end, and the place behind them; None is the beginning.

    ``only``: these columns, without what is related.
    """
    place = place or {}
    if belonging.of_import is None:
        rows = _narrowed(belonging, belonging.rows(user_id=user_id), where, only)
        return _read(belonging, rows, after=place.get("after"), size=size, imports={})
    first, last, after = place.get("first", 0), place.get("last"), place.get("after")
    while ids := _window(user_id, first=first, last=last):
        last = ids[-1]
        rows = _narrowed(belonging, belonging.rows_of(ids), where, only)
        found, place = _read(belonging, rows, after=after, size=size, imports={"first": first, "last": last})
        if found:
            return found, place
        first, last, after = last, None, None
    return [], {"first": first}


def take_next(
    belonging: Belonging,
    rows: models.QuerySet[Any],
    *,
    position: dict[str, Any],
    limit: int,
    only: Sequence[str] = (),
) -> list[Any]:
    """The next of the user's rows that are to be deleted, none only if there is none; ``position`` is brought on.

    Rows deleted a moment ago are slow to pass over, so the search goes on where it was, and at the end begins anew.
    """
    after = position.pop(belonging.name, None)
    rows = rows.only("pk", *belonging.order, *only)
    found = read_slice(rows, order=belonging.order, after=after, size=limit)
    if not found and after is not None:
        found = read_slice(rows, order=belonging.order, after=None, size=limit)
    if found:
        position[belonging.name] = place_of(found[-1], order=belonging.order)
    return found


def _window(user_id: Any, *, first: int, last: int | None) -> list[int]:
    """The imports behind ``first``, up to ``last`` where that is known already."""
    mine = imports_of(user_id).filter(pk__gt=first)
    if last is not None:
        return list(mine.filter(pk__lte=last).order_by("pk").values_list("pk", flat=True)) or [last]
    return list(mine.order_by("pk").values_list("pk", flat=True)[:IMPORTS_AT_ONCE])


def _narrowed(
    belonging: Belonging, rows: models.QuerySet[Any], where: Mapping[str, Any] | None, only: Sequence[str]
) -> models.QuerySet[Any]:
    rows = rows.filter(**where) if where else rows
    if only:
        return rows.only(*only)
    if not belonging.related:
        return rows
    rows = rows.select_related(*belonging.related)
    return rows.defer("chunk__payload") if belonging is REJECTIONS else rows


def _read(
    belonging: Belonging, rows: models.QuerySet[Any], *, after: Any, size: int, imports: Mapping[str, int]
) -> tuple[list[Any], dict[str, Any]]:
    found = read_slice(rows, order=belonging.order, after=after, size=size)
    place = place_of(found[-1], order=belonging.order) if found else after
    return found, {**imports, "after": place}
