"""The sample table on PostgreSQL: binary COPY straight into it, and questions that name the index they need.

Each question is a subquery per record that the planner cannot flatten. As a plain join, or with ``= ANY``, it reads all
rows of a user whose number it underestimates, and it does underestimate those of whoever sends a history. Nor is it
told who the user is (``_WHO``): of one it has not seen it would expect a single row, any index that begins with the
user would seem as good as another, and it might read all of the user's rows for each record.

Nothing lives longer than the transaction, so a transaction pooler may hand every chunk another connection.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db.backends.utils import CursorWrapper
from django.db.models import Field

from django_healthkit_ingest.core.samples import Sample
from django_healthkit_ingest.models import HealthSample, Trace
from django_healthkit_ingest.pipeline.copying import copy_rows
from django_healthkit_ingest.pipeline.copying import document as document  # a part of the engine
from django_healthkit_ingest.pipeline.store.engine import Candidate, Moment, Row, any_row, span
from django_healthkit_ingest.pipeline.store.engine import moment as whole_seconds

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

FEW = 50
"""So many rows of a type in the span of a chunk's records are too many to be read and compared here."""
_IN_SPANS = (
    f'SELECT w.type_id, s.twin, s.start, s."end" FROM {_WHO} CROSS JOIN'
    " unnest(%s::int4[], %s::timestamptz[], %s::timestamptz[]) AS w (type_id, first, last)"
    f' CROSS JOIN LATERAL (SELECT twin, start, "end" FROM {_TABLE}'
    " WHERE user_id = who.id AND type_id = w.type_id"
    " AND start >= w.first AND start < w.last + interval '1 second' LIMIT %s) AS s"
)

_TRACES = f'"{Trace._meta.db_table}"'
_HAS = ", ".join(
    (
        any_row(_TABLE, where="user_id = who.id AND uuid IS NULL", along="twin"),
        any_row(_TABLE, where="user_id = who.id AND uuid IS NOT NULL", along="uuid"),
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
_LIKE_TRACE = f"EXISTS (SELECT 1 FROM {_TRACES} WHERE user_id = who.id AND twin = w.twin OFFSET 0)"
_LIKE_NEIGHBOUR = (
    f"EXISTS (SELECT 1 FROM {_TABLE} WHERE user_id = who.id AND type_id = w.type_id"
    " AND start >= w.first AND start < w.first + interval '1 second'"
    """ AND date_trunc('second', "end") = w.last AND uuid IS NOT NULL OFFSET 0)"""
)


class _Has(NamedTuple):
    """What the user has at all of what a record without uuid could resemble."""

    loose: bool
    uuids: bool
    traces: bool


def insert(cursor: CursorWrapper, rows: Iterable[Row], *, fields: Sequence[Field[Any, Any]]) -> None:
    copy_rows(cursor, rows, fields=fields)


def find(cursor: CursorWrapper, uuids: Sequence[UUID], *, user_id: Any) -> Iterable[tuple[int, int, int, int | None]]:
    cursor.execute(_FIND, [user_id, _array([uuid.hex for uuid in uuids])])
    return list(cursor.fetchall())


def keys(cursor: CursorWrapper, values: Sequence[UUID], *, column: str, user_id: Any) -> Iterable[int]:
    cursor.execute(_KEYS.format(_HAS_VALUE[column]), [user_id, _array([value.hex for value in values])])
    return [key for (key,) in cursor.fetchall()]


def neighbours(cursor: CursorWrapper, moments: Sequence[Moment], *, user_id: Any) -> Iterable[int]:
    cursor.execute(_NEIGHBOURS, [user_id, *_columns(moments)])
    return [key for (key,) in cursor.fetchall()]


def resembled(
    cursor: CursorWrapper,
    candidates: Sequence[Candidate],
    *,
    moment: Callable[[Sample], Moment],
    user_id: Any,
    batch_id: int,
) -> Iterable[int]:
    cursor.execute(f"SELECT {_HAS} FROM {_WHO}", [user_id])
    has = _Has(*cursor.fetchone())
    if has.traces:
        return _looked_up(cursor, candidates, has=has, moment=moment, user_id=user_id, batch_id=batch_id)
    if not has.loose and not has.uuids:
        return []
    like, many = _compared(cursor, candidates, moment=moment, user_id=user_id)
    asked = [candidates[place] for place in many]
    found = _looked_up(cursor, asked, has=has, moment=moment, user_id=user_id, batch_id=batch_id) if asked else ()
    return like + [many[place] for place in found]


def _looked_up(
    cursor: CursorWrapper,
    candidates: Sequence[Candidate],
    *,
    has: _Has,
    moment: Callable[[Sample], Moment],
    user_id: Any,
    batch_id: int,
) -> list[int]:
    """Places of those that resemble a row or a trace, each of them asked for."""
    tests: list[str] = []
    values: list[Any] = []
    if has.loose:
        tests += [_LIKE_ROW, _LIKE_UNREAD]
        values.append(batch_id)
    if has.traces:
        tests.append(_LIKE_TRACE)
    twins = [each.twin.hex for each in candidates]
    unread = [
        twin if each.unread is each.twin else each.unread.hex for each, twin in zip(candidates, twins, strict=True)
    ]
    arrays = [_array(twins), _array(unread)]
    if has.uuids:
        tests.append(_LIKE_NEIGHBOUR)
        arrays += _columns([moment(each.record) for each in candidates])
    sql = _RESEMBLED_OR_NEAR if has.uuids else _RESEMBLED
    cursor.execute(sql + " OR ".join(tests), [user_id, *arrays, *values])
    return [place for (place,) in cursor.fetchall()]


def _compared(
    cursor: CursorWrapper, candidates: Sequence[Candidate], *, moment: Callable[[Sample], Moment], user_id: Any
) -> tuple[list[int], list[int]]:
    """Places of those that resemble a row; and of those whose type has too many rows in these days to be read here.

    In a first import, the long one, there are hardly any, and a question a type does for thousands of records.
    """
    by_type: dict[str, list[int]] = defaultdict(list)
    for place, each in enumerate(candidates):
        by_type[each.record.identifier].append(place)
    spans: dict[int, Moment] = {}
    places_of: dict[int, list[int]] = {}
    for places in by_type.values():
        starts = [candidates[place].record.start for place in places]
        type_id = moment(candidates[places[0]].record).type_id
        spans[type_id] = span(type_id, starts)
        places_of[type_id] = places
    cursor.execute(_IN_SPANS, [user_id, *_columns(spans.values()), FEW])
    near: dict[int, list[Any]] = defaultdict(list)
    for type_id, *row in cursor.fetchall():
        near[type_id].append(row)
    like: list[int] = []
    many: list[int] = []
    for type_id, rows in near.items():
        if len(rows) == FEW:
            many += places_of[type_id]
            continue
        twins = {twin.int for twin, _, _ in rows if twin is not None}
        moments = {whole_seconds(type_id, start, end) for twin, start, end in rows if twin is None}
        for place in places_of[type_id]:
            each = candidates[place]
            if each.twin.int in twins or each.unread.int in twins or (moments and moment(each.record) in moments):
                like.append(place)
    return like, many


def _columns(moments: Iterable[Moment]) -> list[str]:
    types, starts, ends = zip(*moments, strict=True)
    return [_array(types), *(_array(f'"{each}"' for each in instants) for instants in (starts, ends))]


def _array(values: Iterable[str | int]) -> str:
    """An array's text form; psycopg's own escapes each element in Python, and these need none."""
    return "{" + ",".join(map(str, values)) + "}"
