"""The sample table on PostgreSQL: binary COPY straight into it, and questions that name the index they need.

Each question is a subquery per record that the planner cannot flatten. As a plain join, or with ``= ANY``, it reads all
rows of a user whose number it underestimates, and it does underestimate those of whoever sends a history. Nor is it
told who the user is (``_WHO``): of one it has not seen it would expect a single row, any index that begins with the
user would seem as good as another, and it might read all of the user's rows for each record.

Nothing lives longer than the transaction, so a transaction pooler may hand every chunk another connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db.backends.utils import CursorWrapper
from django.db.models import Field

from django_healthkit_ingest.core.samples import Sample
from django_healthkit_ingest.models import HealthSample, Tally, Trace
from django_healthkit_ingest.pipeline.copying import copy_rows
from django_healthkit_ingest.pipeline.copying import document as document  # a part of the engine
from django_healthkit_ingest.pipeline.store.engine import Candidate, Moment, Row, any_row

_TABLE = f'"{HealthSample._meta.db_table}"'

_WHO = "(SELECT %s AS id OFFSET 0) AS who"

_FIND = (
    f"SELECT w.n - 1, s.id, s.rank, s.sync_version FROM {_WHO}"
    " CROSS JOIN unnest(%s::uuid[]) WITH ORDINALITY AS w (uuid, n) CROSS JOIN LATERAL"
    f" (SELECT id, rank, sync_version FROM {_TABLE} WHERE user_id = who.id AND uuid = w.uuid LIMIT 1) AS s"
)

_KEYS = (
    f"SELECT s.id FROM {_WHO} CROSS JOIN unnest(%s::uuid[]) AS w (value) CROSS JOIN LATERAL"
    f" (SELECT id FROM {_TABLE} WHERE user_id = who.id AND {{}} OFFSET 0) AS s"
)
_HAS_VALUE = {
    "uuid": "uuid = w.value",
    "twin": "twin = w.value AND uuid IS NULL",
    "sync_key": "sync_key = w.value",
}

_NEIGHBOURS = (
    f"SELECT s.id FROM {_WHO} CROSS JOIN"
    " unnest(%s::int4[], %s::timestamptz[], %s::timestamptz[]) AS w (type_id, first, last)"
    f" CROSS JOIN LATERAL (SELECT id FROM {_TABLE} WHERE user_id = who.id AND type_id = w.type_id"
    " AND start >= w.first AND start < w.first + interval '1 second'"
    """ AND date_trunc('second', "end") = w.last AND uuid IS NOT NULL OFFSET 0) AS s"""
)

_TALLIES, _TRACES = f'"{Tally._meta.db_table}"', f'"{Trace._meta.db_table}"'
_HAS = ", ".join(
    (
        any_row(_TABLE, where="user_id = who.id AND uuid IS NULL", along="twin"),
        any_row(_TABLE, where="user_id = who.id AND uuid IS NOT NULL", along="uuid"),
        any_row(_TALLIES, where="batch_id = %s", along="twin"),
        any_row(_TRACES, where="user_id = who.id", along="twin"),
    )
)
_RESEMBLED = (
    f"SELECT w.n - 1 FROM {_WHO} CROSS JOIN unnest(%s::uuid[], %s::uuid[])"
    " WITH ORDINALITY AS w (twin, unread, n) WHERE "
)
_RESEMBLED_OR_NEAR = (
    f"SELECT w.n - 1 FROM {_WHO} CROSS JOIN"
    " unnest(%s::uuid[], %s::uuid[], %s::int4[], %s::timestamptz[], %s::timestamptz[])"
    " WITH ORDINALITY AS w (twin, unread, type_id, first, last, n) WHERE "
)
_LIKE_ROW = f"EXISTS (SELECT 1 FROM {_TABLE} WHERE user_id = who.id AND twin = w.twin AND uuid IS NULL OFFSET 0)"
_LIKE_UNREAD = (
    f"w.unread <> w.twin AND EXISTS (SELECT 1 FROM {_TABLE} WHERE user_id = who.id AND twin = w.unread AND uuid IS NULL"
    " AND batch_id = %s AND details IS NOT NULL OFFSET 0)"
)
_LIKE_TALLY = f"EXISTS (SELECT 1 FROM {_TALLIES} WHERE batch_id = %s AND twin = w.twin AND chunk_id <> %s OFFSET 0)"
_LIKE_TRACE = f"EXISTS (SELECT 1 FROM {_TRACES} WHERE user_id = who.id AND twin = w.twin OFFSET 0)"
_LIKE_NEIGHBOUR = (
    f"EXISTS (SELECT 1 FROM {_TABLE} WHERE user_id = who.id AND type_id = w.type_id"
    " AND start >= w.first AND start < w.first + interval '1 second'"
    """ AND date_trunc('second', "end") = w.last AND uuid IS NOT NULL OFFSET 0)"""
)


def insert(cursor: CursorWrapper, rows: Iterable[Row], *, fields: Sequence[Field[Any, Any]]) -> None:
    copy_rows(cursor, rows, fields=fields)


def find(cursor: CursorWrapper, uuids: Sequence[UUID], *, user_id: Any) -> Iterable[tuple[int, int, int, int | None]]:
    cursor.execute(_FIND, [user_id, _array([uuid.hex for uuid in uuids])])
    return list(cursor.fetchall())


def keys(cursor: CursorWrapper, values: Sequence[UUID], *, column: str, user_id: Any) -> Iterable[int]:
    cursor.execute(_KEYS.format(_HAS_VALUE[column]), [user_id, _array([value.hex for value in values])])
    return [key for (key,) in cursor.fetchall()]


def neighbours(cursor: CursorWrapper, moments: Sequence[Moment], *, user_id: Any) -> Iterable[int]:
    types, starts, ends = zip(*moments, strict=True)
    cursor.execute(_NEIGHBOURS, [user_id, list(types), list(starts), list(ends)])
    return [key for (key,) in cursor.fetchall()]


def resembled(
    cursor: CursorWrapper,
    candidates: Sequence[Candidate],
    *,
    moment: Callable[[Sample], Moment],
    user_id: Any,
    batch_id: int,
    chunk_id: int | None,
) -> Iterable[int]:
    cursor.execute(f"SELECT {_HAS} FROM {_WHO}", [batch_id, user_id])
    has_loose, has_uuids, has_tallies, has_traces = cursor.fetchone()
    tests: list[str] = []
    values: list[Any] = []
    if has_loose:
        tests += [_LIKE_ROW, _LIKE_UNREAD]
        values.append(batch_id)
    if has_tallies and chunk_id is not None:
        tests.append(_LIKE_TALLY)
        values += [batch_id, chunk_id]
    if has_traces:
        tests.append(_LIKE_TRACE)
    twins = [each.twin.hex for each in candidates]
    unread = [
        twin if each.unread is each.twin else each.unread.hex for each, twin in zip(candidates, twins, strict=True)
    ]
    arrays = [_array(twins), _array(unread)]
    if has_uuids:
        tests.append(_LIKE_NEIGHBOUR)
        moments = [moment(each.record) for each in candidates]
        arrays += [
            _array([each.type_id for each in moments]),
            _array([f'"{each.start}"' for each in moments]),
            _array([f'"{each.end}"' for each in moments]),
        ]
    if not tests:
        return []
    sql = _RESEMBLED_OR_NEAR if has_uuids else _RESEMBLED
    cursor.execute(sql + " OR ".join(tests), [user_id, *arrays, *values])
    return [place for (place,) in cursor.fetchall()]


def _array(values: Iterable[str | int]) -> str:
    """An array's text form; psycopg's own escapes each element in Python, and these need none."""
    return "{" + ",".join(map(str, values)) + "}"
