"""The sample table on SQLite, the embedded default: one ``executemany``, and questions with many parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db.backends.utils import CursorWrapper
from django.db.models import DateTimeField, Field, UUIDField

from django_healthkit_ingest.models import HealthSample
from django_healthkit_ingest.pipeline.store.engine import Candidate, Moment, Row

_TABLE = f'"{HealthSample._meta.db_table}"'
# Instants are text, 2026-01-05 07:00:00.123456, in UTC: a tilde is greater than the full stop before the fraction.
_NEIGHBOURS = (
    f"SELECT id FROM {_TABLE} WHERE user_id = %s AND type_id = %s AND start >= %s AND start < %s || '~'"
    ' AND substr("end", 1, 19) = %s AND uuid IS NOT NULL'
)


def insert(cursor: CursorWrapper, rows: Iterable[Row], *, fields: Sequence[Field[Any, Any]]) -> None:
    columns = ", ".join(f'"{field.column}"' for field in fields)
    places = ", ".join("%s" for _ in fields)
    preparations = [(place, _preparation(field, cursor=cursor)) for place, field in enumerate(fields)]
    needed = [(place, prepare) for place, prepare in preparations if prepare is not None]

    def prepared(row: Row) -> list[Any]:
        values = list(row)
        for place, prepare in needed:
            if values[place] is not None:
                values[place] = prepare(values[place])
        return values

    table = cursor.db.ops.quote_name(fields[0].model._meta.db_table)
    cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({places})", [prepared(row) for row in rows])


def find(cursor: CursorWrapper, uuids: Sequence[UUID], *, user_id: Any) -> Iterable[tuple[int, int, int, int | None]]:
    places_of = {uuid.hex: place for place, uuid in enumerate(uuids)}
    places = ", ".join("%s" for _ in uuids)
    sql = f"SELECT uuid, id, rank, sync_version FROM {_TABLE} WHERE user_id = %s AND uuid IN ({places})"
    cursor.execute(sql, [user_id, *places_of])
    return [(places_of[key], *row) for key, *row in cursor.fetchall()]


def keys(cursor: CursorWrapper, values: Sequence[UUID], *, column: str, user_id: Any) -> Iterable[int]:
    places = ", ".join("%s" for _ in values)
    sql = f"SELECT id FROM {_TABLE} WHERE user_id = %s AND {column} IN ({places})"
    if column == "twin":
        sql += " AND uuid IS NULL"  # else its index could not be used
    cursor.execute(sql, [user_id, *(value.hex for value in values)])
    return [key for (key,) in cursor.fetchall()]


def neighbours(cursor: CursorWrapper, moments: Sequence[Moment], *, user_id: Any) -> Iterable[int]:
    prepare = cursor.db.ops.adapt_datetimefield_value
    found: set[int] = set()
    for type_id, start, end in moments:
        second = prepare(start)
        cursor.execute(_NEIGHBOURS, [user_id, type_id, second, second, prepare(end)])
        found.update(key for (key,) in cursor.fetchall())
    return found


def resembled(cursor: CursorWrapper, candidates: Sequence[Candidate], **_: Any) -> Iterable[int]:
    """All of them: each is looked at closely."""
    return range(len(candidates))


def document(text: str) -> str:
    return text


def _preparation(field: Field[Any, Any], *, cursor: CursorWrapper) -> Callable[[Any], Any] | None:
    """What Django would do to a value of the field's type; keys have been prepared, and all else is as it has to be."""
    match field:
        case UUIDField():
            return lambda uuid: uuid.hex
        case DateTimeField():
            prepare: Callable[[Any], Any] = cursor.db.ops.adapt_datetimefield_value
            return prepare
    return None
