"""What phones send already aggregated: one row per key, and of two readings of one key the better one stays.

The order is the same whatever came first: the client's own count of its requests, then what the rank says of format
and normaliser, then the reading's preference, then the rest of the rank.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import connections
from django.db.backends.utils import CursorWrapper
from django.db.models import Field

from django_healthkit_ingest.core import samples
from django_healthkit_ingest.models import Statistic

ROWS_AT_ONCE = 500
"""Of one statement; SQLite stops at 32,766 parameters."""

_KEY = ("user", "key")
_CONTENT = (
    "batch",
    "start",
    "end",
    "value",
    "preference",
    "sequence",
    "rank",
    "type",
    "source",
    "aggregation",
    "bucket",
    "raw_unit",
    "time_zone",
    "zone_basis",
    "details",
)
_DIGEST_BITS = 48


def store_statistics(
    values: Sequence[samples.Statistic],
    *,
    user_id: Any,
    batch_id: int,
    sequence: int,
    type_ids: Mapping[str, int],
    source_ids: Mapping[samples.Source, int],
    using: str,
) -> int:
    """Insert or replace; answers how many rows that changed. The caller holds the user's lock.

    ``sequence`` is the batch's, 0 if it has none. Raises RuntimeError outside a transaction.
    """
    connection = connections[using]
    if not connection.in_atomic_block:
        raise RuntimeError("store_statistics() runs inside the transaction that completes the chunk.")
    rows = [
        {
            "user": user_id,
            "key": value.key,
            "batch": batch_id,
            "start": value.start,
            "end": value.end,
            "value": value.value,
            "preference": value.preference,
            "sequence": sequence,
            "rank": value.rank,
            "type": type_ids[value.identifier],
            "source": source_ids[value.source] if value.source is not None else None,
            "aggregation": value.aggregation,
            "bucket": value.bucket,
            "raw_unit": value.unit,
            "time_zone": value.time_zone,
            "zone_basis": str(value.zone_basis),
            "details": value.details,
        }
        for value in _best(values)
    ]
    with connection.cursor() as cursor:
        return sum(
            _upsert(cursor, rows[first : first + ROWS_AT_ONCE], using=using)
            for first in range(0, len(rows), ROWS_AT_ONCE)
        )


def _best(values: Iterable[samples.Statistic]) -> Iterable[samples.Statistic]:
    """One of each key: a statement may touch a row only once."""
    best: dict[UUID, samples.Statistic] = {}
    for value in values:
        known = best.get(value.key)
        if known is None or _order(value) > _order(known):
            best[value.key] = value
    return best.values()


def _order(value: samples.Statistic) -> tuple[int, float, int]:
    """``_upsert`` says the same in SQL, after the sequence, which all values of one batch share."""
    return value.rank >> _DIGEST_BITS, value.preference, value.rank


def _upsert(cursor: CursorWrapper, rows: Sequence[Mapping[str, Any]], *, using: str) -> int:
    connection = connections[using]
    quote = connection.ops.quote_name
    fields = {name: _field(name) for name in (*_KEY, *_CONTENT)}
    columns = {name: quote(str(field.column)) for name, field in fields.items()}
    as_json = "%s::jsonb" if connection.vendor == "postgresql" else "%s"
    places = ", ".join(as_json if name == "details" else "%s" for name in fields)
    params: list[Any] = []
    for row in rows:
        for name, field in fields.items():
            # The details are JSON text already.
            params.append(row[name] if name == "details" else field.get_db_prep_value(row[name], connection))

    def order(table: str) -> str:
        sequence, rank, preference = (f"{table}.{columns[name]}" for name in ("sequence", "rank", "preference"))
        return f"({sequence}, {rank} >> {_DIGEST_BITS}, {preference}, {rank})"

    cursor.execute(
        f"INSERT INTO {quote(Statistic._meta.db_table)} AS kept ({', '.join(columns.values())})"
        f" VALUES {', '.join([f'({places})'] * len(rows))}"
        f" ON CONFLICT ({', '.join(columns[name] for name in _KEY)}) DO UPDATE"
        f" SET {', '.join(f'{columns[name]} = excluded.{columns[name]}' for name in _CONTENT)}"
        f" WHERE {order('excluded')} > {order('kept')}",
        params,
    )
    return int(cursor.rowcount)


def _field(name: str) -> Field[Any, Any]:
    field = Statistic._meta.get_field(name)
    assert isinstance(field, Field)
    return field
