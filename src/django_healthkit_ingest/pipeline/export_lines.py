"""What a line of an export says of a row: every column, under the names of the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from django.db import models

from django_healthkit_ingest.core.encodings import decompress
from django_healthkit_ingest.exceptions import PayloadUnavailable
from django_healthkit_ingest.models import (
    DeviceToken,
    Erasure,
    Export,
    HealthSample,
    ImportBatch,
    ImportChunk,
    RejectedSample,
    SampleSeries,
    Source,
    Statistic,
    SyncState,
    Tally,
    database,
)
from django_healthkit_ingest.pipeline.belongings import Belonging
from django_healthkit_ingest.pipeline.samples import show_sample

INTERNAL = frozenset({"id", "user_id", "batch_id", "chunk_id"})
"""Numbers of rows, which mean nothing outside the database; imports are named by their id."""

LEFT_OUT: Mapping[type[models.Model], frozenset[str]] = {
    HealthSample: frozenset({"type_id", "source_id", "raw_unit", "rank", "twin", "fp_seq", "sync_key"}),
    SampleSeries: frozenset({"sample_key", "payload", "rank"}),
    Statistic: frozenset({"type_id", "source_id", "raw_unit", "rank", "key", "preference"}),
    SyncState: frozenset({"type_id"}),
    Tally: frozenset({"type_id"}),
    Source: frozenset({"key", "recorder"}),
    ImportBatch: frozenset({"uuid"}),
    ImportChunk: frozenset({"payload", "claimed_by"}),
    DeviceToken: frozenset({"uuid", "digest"}),
    Erasure: frozenset({"uuid", "position"}),
    Export: frozenset({"uuid", "position", "parts"}),
}
"""Columns that the line says under another name, digests of what it says, and what is no word about a person: the
outcome of comparing two readings, the worker that had a chunk, how far a task has come."""

Show = Callable[[Any], dict[str, Any]]


def lines(belonging: Belonging, rows: Sequence[models.Model]) -> list[bytes]:
    """One JSON object for each row, with a newline behind it. One query for the ids of their imports."""
    imports = _imports_of(rows)
    show: Show = _SHOW.get(belonging.model, _nothing_else)
    return [
        line({"kind": belonging.kind, **imports.get(_batch_id(row), {}), **_columns(row), **show(row)}) for row in rows
    ]


def line(content: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(content) + b"\n"


def _columns(row: models.Model) -> dict[str, Any]:
    left_out = INTERNAL | LEFT_OUT.get(type(row), frozenset())
    return {
        field.attname: getattr(row, field.attname)
        for field in row._meta.concrete_fields
        if field.attname not in left_out
    }


def _nothing_else(row: models.Model) -> dict[str, Any]:
    return {}


def _batch_id(row: models.Model) -> int | None:
    if isinstance(row, RejectedSample):
        return row.chunk.batch_id
    return getattr(row, "batch_id", None)


def _imports_of(rows: Sequence[models.Model]) -> dict[int | None, dict[str, Any]]:
    ids = {pk for row in rows if (pk := _batch_id(row)) is not None}
    found = ImportBatch.objects.using(database()).filter(pk__in=ids) if ids else ImportBatch.objects.none()
    return {pk: {"import": uuid} for pk, uuid in found.values_list("pk", "uuid")}


def _sample(row: HealthSample) -> dict[str, Any]:
    shown = show_sample(row)
    return {
        "id": shown.id,
        "type": shown.type,
        "unit": shown.unit,
        "category_name": shown.category_name,
        "source": _source_of(row),
    }


def _statistic(row: Statistic) -> dict[str, Any]:
    return {"id": row.key, "type": row.identifier, "unit": row.unit, "source": _source_of(row)}


def _source_of(row: HealthSample | Statistic) -> Any:
    return row.source.key if row.source is not None else None


def _series(row: SampleSeries) -> dict[str, Any]:
    """``sample`` is the sample's ``uuid``, or its ``fingerprint`` if it came without."""
    return {"sample": row.sample_key, "values": _raw(row.payload)}


def _payload(row: ImportChunk) -> dict[str, Any]:
    """``records`` as they were received; null once they are purged, or if they cannot be read."""
    return {"records": _raw(row.payload)}


def _raw(payload: bytes | memoryview | None) -> msgspec.Raw | None:
    """An array of JSON on one line: outside of strings a newline is a space, and inside there is none."""
    if payload is None:
        return None
    try:
        text = decompress(bytes(payload))
    except PayloadUnavailable:
        return None
    return msgspec.Raw(text.replace(b"\n", b" ").replace(b"\r", b" "))


def _rejection(row: RejectedSample) -> dict[str, Any]:
    return {"chunk": row.chunk.index, "section": row.chunk.section}


def _type(row: SyncState | Tally) -> dict[str, Any]:
    return {"type": row.type.identifier}


def _source(row: Source) -> dict[str, Any]:
    return {"id": row.key}


def _by_uuid(row: ImportBatch | DeviceToken | Erasure | Export) -> dict[str, Any]:
    return {"id": row.uuid}


_SHOW: Mapping[type[models.Model], Show] = {
    HealthSample: _sample,
    Statistic: _statistic,
    SampleSeries: _series,
    ImportChunk: _payload,
    RejectedSample: _rejection,
    SyncState: _type,
    Tally: _type,
    Source: _source,
    ImportBatch: _by_uuid,
    DeviceToken: _by_uuid,
    Erasure: _by_uuid,
    Export: _by_uuid,
}
