"""The sample table as one user's merge sees it: what is there already, and rows that go in.

Nothing is staged: who holds the user's lock may look first and write afterwards. What differs between databases is how
many rows get in at once, and how a question about many records is asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib import import_module
from operator import attrgetter
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, cast
from uuid import UUID

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models import Field, Model

from django_healthkit_ingest.core import samples
from django_healthkit_ingest.models import HealthSample, Membership, Tally, Tombstone

ENGINES = {
    "postgresql": "django_healthkit_ingest.pipeline.store.postgresql",
    "sqlite": "django_healthkit_ingest.pipeline.store.sqlite",
}

COLUMNS = (
    "user",
    "batch",
    "uuid",
    "fingerprint",
    "rank",
    "type",
    "start",
    "end",
    "value",
    "category",
    "raw_unit",
    "time_zone",
    "zone_basis",
    "source",
    "metadata",
    "details",
    "sync_version",
    "sync_key",
    "twin",
    "fp_seq",
)
"""The fields of a ``Row``, in its order."""

AT_ONCE = 5000
"""Parameters of one statement; SQLite takes 32,766."""

_start = attrgetter("start")

Row = tuple[Any, ...]
Version = tuple[bool, int, int]
"""Of two versions of one uuid the better one compares greater."""

T = TypeVar("T")


class Stored(NamedTuple):
    """The row of a uuid, as far as a merge has to know it."""

    id: int
    version: Version


class Moment(NamedTuple):
    """What a record without uuid and one with it share if they are one sample."""

    type_id: int
    start: datetime
    """A whole second, and so is ``end``."""
    end: datetime


class Candidate(NamedTuple):
    """What a record without uuid may be recognised by: what it may be a copy of has one of these, too."""

    twin: UUID
    unread: UUID
    """The twin key it had while its type was not known; its own one if that was never so."""
    record: samples.Sample


class Engine(Protocol):
    """What differs between databases."""

    def insert(self, cursor: CursorWrapper, rows: Iterable[Row], *, fields: Sequence[Field[Any, Any]]) -> None:
        """Write rows of the fields' model, as wide as ``fields``."""

    def find(
        self, cursor: CursorWrapper, uuids: Sequence[UUID], *, user_id: Any
    ) -> Iterable[tuple[int, int, int, int | None]]:
        """Those of these uuids that have a row of the user's: the place in ``uuids``, the row's key, rank and sync
        version."""

    def keys(self, cursor: CursorWrapper, values: Sequence[UUID], *, column: str, user_id: Any) -> Iterable[int]:
        """Keys of the user's rows that have one of these values in one of the columns of ``keys_of``."""

    def neighbours(self, cursor: CursorWrapper, moments: Sequence[Moment], *, user_id: Any) -> Iterable[int]:
        """Keys of the user's rows with a uuid at these moments."""

    def resembled(
        self,
        cursor: CursorWrapper,
        candidates: Sequence[Candidate],
        *,
        moment: Callable[[samples.Sample], Moment],
        user_id: Any,
        batch_id: int,
        chunk_id: int | None,
    ) -> Iterable[int]:
        """Places of those that a row, a trace or the batch's other chunks may know; it may name more."""

    def document(self, text: str) -> Any:
        """A JSON text as ``insert`` wants it."""


class SampleTable:
    """One user's rows, and what is needed to write more of them; used under the user's lock."""

    def __init__(
        self,
        cursor: CursorWrapper,
        *,
        user_id: Any,
        batch_id: int,
        using: str,
        type_ids: Mapping[str, int],
        source_ids: Mapping[samples.Source, int],
    ) -> None:
        connection = connections[using]
        self._engine = engine_of(connection)
        self._cursor = cursor
        self._using = using
        self._quote = connection.ops.quote_name
        self._user = sample_field("user").get_db_prep_value(user_id, connection)
        self._batch = batch_id
        self._type_ids = type_ids
        self._source_ids = source_ids
        self._fields = [sample_field(name) for name in COLUMNS]

    def gates(self) -> tuple[bool, bool, bool]:
        """Whether the user has rows without uuid, tombstones, correlations with members: most have none."""
        questions = ", ".join(
            any_row(self._quote(model._meta.db_table), where=f"user_id = who.id{more}", along=along)
            for model, more, along in (
                (HealthSample, " AND uuid IS NULL", "twin"),
                (Tombstone, "", "uuid"),
                (Membership, "", "correlation"),
            )
        )
        self._cursor.execute(f"SELECT {questions} FROM (SELECT %s AS id LIMIT 1) AS who", [self._user])
        loose, dead, bound = self._cursor.fetchone()
        return bool(loose), bool(dead), bool(bound)

    def unlike(
        self, records: Mapping[UUID, samples.Sample]
    ) -> tuple[list[samples.Sample], list[tuple[samples.Sample, Stored]]]:
        """Records whose uuid has no row, and those whose row holds another version. All others are duplicates."""
        missing: list[samples.Sample] = []
        others: list[tuple[samples.Sample, Stored]] = []
        for part in slices(records.items()):
            rows = self._engine.find(self._cursor, [uuid for uuid, _ in part], user_id=self._user)
            found = {place: (key, rank, sync_version) for place, key, rank, sync_version in rows}
            for place, (_, record) in enumerate(part):
                if (row := found.get(place)) is None:
                    missing.append(record)
                elif row[1] != record.rank or row[2] != record.sync_version:
                    key, rank, sync_version = row
                    others.append((record, Stored(key, version_of(rank, sync_version))))
        return missing, others

    def insert(self, records: Sequence[samples.Sample]) -> None:
        """Records whose uuid has no row, those of one type and time side by side, as they will be read."""
        if not records:
            return
        by_type: dict[str, list[samples.Sample]] = defaultdict(list)
        for record in records:
            by_type[record.identifier].append(record)
        for equals in by_type.values():
            equals.sort(key=_start)
        # One by one, so that PostgreSQL works at the first rows while the last are made.
        self.insert_rows(self.row(record) for equals in by_type.values() for record in equals)

    def insert_rows(self, rows: Iterable[Row]) -> None:
        self._engine.insert(self._cursor, rows, fields=self._fields)

    def replace(self, records: Mapping[int, samples.Sample]) -> None:
        """Another content for the rows of these keys, which they keep: clients and cursors hold them."""
        if not records:
            return
        for part in slices(records):
            HealthSample.objects.using(self._using).filter(pk__in=part)._raw_delete(self._using)
        rows = ((key, *self.row(record)) for key, record in records.items())
        self._engine.insert(self._cursor, rows, fields=[sample_field("id"), *self._fields])

    def neighbours(self, moments: Iterable[Moment]) -> set[int]:
        """Keys of rows with a uuid that share type, start and end second with a record without."""
        found: set[int] = set()
        for part in slices(set(moments)):
            found.update(self._engine.neighbours(self._cursor, part, user_id=self._user))
        return found

    def resembled(self, candidates: Sequence[Candidate], *, chunk_id: int | None) -> set[int]:
        """Places of those that a row, a trace or a record of another chunk than this one of the batch may resemble."""
        found: set[int] = set()
        first = 0
        for part in slices(candidates):
            places = self._engine.resembled(
                self._cursor, part, moment=self.moment, user_id=self._user, batch_id=self._batch, chunk_id=chunk_id
            )
            found.update(first + place for place in places)
            first += len(part)
        return found

    def insert_tallies(self, twins: Sequence[UUID], *, chunk_id: int) -> None:
        rows = ((self._user, self._batch, chunk_id, twin) for twin in twins)
        fields = [field_of(Tally, name) for name in ("user", "batch", "chunk", "twin")]
        self._engine.insert(self._cursor, rows, fields=fields)

    def moment(self, record: samples.Sample) -> Moment:
        return moment(self._type_ids[record.identifier], record.start, record.end)

    def row(self, record: samples.Sample, *, twin: UUID | None = None, fp_seq: int = 0) -> Row:
        document = self._engine.document
        return (
            self._user,
            self._batch,
            record.uuid,
            record.fingerprint,
            record.rank,
            self._type_ids[record.identifier],
            record.start,
            record.end,
            record.value,
            record.category,
            record.unit,
            record.time_zone,
            record.zone_basis.value,
            None if record.source is None else self._source_ids[record.source],
            None if record.metadata is None else document(record.metadata),
            None if record.details is None else document(record.details),
            record.sync_version,
            record.sync_key,
            twin,
            fp_seq,
        )


def keys_of(
    values: Iterable[UUID], *, column: Literal["uuid", "twin", "sync_key"], user_id: Any, using: str
) -> list[int]:
    """Keys of the user's rows that have one of these values, each found by the index of its column.

    ``filter(user_id=…, uuid__in=…)`` reads all rows of a user of whom the planner does not know how many there are.
    """
    connection = connections[using]
    user = sample_field("user").get_db_prep_value(user_id, connection)
    with connection.cursor() as cursor:
        found = (engine_of(connection).keys(cursor, part, column=column, user_id=user) for part in slices(set(values)))
        return [key for keys in found for key in keys]


def any_row(table: str, *, where: str, along: str) -> str:
    """SQL: whether there is such a row. ``along`` is what their index has next.

    With EXISTS a planner that knows of many such rows reads the table until it meets the first, and nearly all of it
    may lie before that.
    """
    return f"(SELECT 1 FROM {table} WHERE {where} ORDER BY {along} LIMIT 1) IS NOT NULL"


def moment(type_id: int, start: datetime, end: datetime) -> Moment:
    return Moment(type_id, start.replace(microsecond=0), end.replace(microsecond=0))


def version_of(rank: int, sync_version: int | None) -> Version:
    """No sync version is below any."""
    return sync_version is not None, sync_version or 0, rank


def engine_of(connection: BaseDatabaseWrapper) -> Engine:
    return cast("Engine", import_module(ENGINES[connection.vendor]))


def sample_field(name: str) -> Field[Any, Any]:
    return field_of(HealthSample, name)


def field_of(model: type[Model], name: str) -> Field[Any, Any]:
    field = model._meta.get_field(name)
    assert isinstance(field, Field)
    return field


def slices(keys: Iterable[T]) -> Iterator[list[T]]:
    """Parts that fit into one statement."""
    every = list(keys)
    for first in range(0, len(every), AT_ONCE):
        yield every[first : first + AT_ONCE]
