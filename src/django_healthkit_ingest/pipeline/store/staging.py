"""The staging table of one merge: a chunk's samples inside the database, and the set-based statements that read them.

The statements are SQL that PostgreSQL and SQLite both speak; how the table is filled differs per engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any, Protocol, TypeVar, cast
from uuid import UUID

from django.db import connections
from django.db.backends.utils import CursorWrapper
from django.db.models import Field

from django_healthkit_ingest.core import samples
from django_healthkit_ingest.models import HealthSample, Membership, Tombstone

ENGINES = {
    "postgresql": "django_healthkit_ingest.pipeline.store.postgresql",
    "sqlite": "django_healthkit_ingest.pipeline.store.sqlite",
}

STAGED = (
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
"""The fields of a sample that are staged, in the order of the staging table's columns."""

MARK = "is_member"
"""The staging table's last column: the row is a correlation's member and no record of its own."""

AT_ONCE = 5000
"""Parameters of one statement; SQLite takes 32,766."""

Row = tuple[Any, ...]
T = TypeVar("T")


class Engine(Protocol):
    """What differs between databases: how rows get into the staging table, and how a column is read from it."""

    def stage(self, cursor: CursorWrapper, rows: Iterable[Row], *, using: str) -> str:
        """Fill the staging table of this transaction, empty before, and answer its quoted name."""

    def read(self, field: str, column: str) -> str:
        """The SQL expression that turns a staged column into the sample's."""

    def second(self, column: str) -> str:
        """The SQL expression of an instant's whole second."""

    def next_second(self, column: str) -> str:
        """The SQL expression of a bound above all instants of that second."""


class Staging:
    """A chunk's samples in the database, and the statements of one user's merge that read them."""

    def __init__(self, cursor: CursorWrapper, *, user_id: Any, batch_id: int, using: str) -> None:
        connection = connections[using]
        self._engine = cast("Engine", import_module(ENGINES[connection.vendor]))
        self._quote = connection.ops.quote_name
        self._cursor = cursor
        self._using = using
        self._samples = self._quote(HealthSample._meta.db_table)
        self._user = HealthSample._meta.get_field("user").get_db_prep_value(user_id, connection)
        self._batch = batch_id
        self._columns = [self._quote(str(sample_field(name).column)) for name in STAGED]
        self._values = [
            self._engine.read(name, f"t.{column}") for name, column in zip(STAGED, self._columns, strict=True)
        ]
        self._table = ""

    def fill(self, rows: Iterable[Row]) -> None:
        self._table = self._engine.stage(self._cursor, rows, using=self._using)

    def gates(self) -> tuple[bool, bool, bool]:
        """Whether the user has rows without uuid, tombstones, correlations with members: most have none."""
        tables = (
            (self._samples, " AND uuid IS NULL"),
            (self._quote(Tombstone._meta.db_table), ""),
            (self._quote(Membership._meta.db_table), ""),
        )
        exists = ", ".join(f"EXISTS (SELECT 1 FROM {table} WHERE user_id = %s{more})" for table, more in tables)
        loose, dead, bound = self._rows(f"SELECT {exists}", *[self._user] * 3)[0]
        return bool(loose), bool(dead), bool(bound)

    def buried(self) -> set[UUID]:
        """Staged uuids that are dead."""
        tombstones = self._quote(Tombstone._meta.db_table)
        return {
            _uuid(uuid)
            for (uuid,) in self._rows(
                f"SELECT k.uuid FROM {self._table} AS t JOIN {tombstones} AS k ON k.uuid = t.uuid WHERE k.user_id = %s",
                self._user,
            )
        }

    def remove(self, uuids: Iterable[UUID]) -> None:
        prepare = sample_field("uuid").get_db_prep_value
        for part in slices(uuids):
            places = ", ".join("%s" for _ in part)
            keys = [prepare(uuid, connections[self._using]) for uuid in part]
            self._run(f"DELETE FROM {self._table} WHERE uuid IN ({places})", *keys)

    def insert(self, *, members: bool = False) -> int:
        """Rows with a uuid that are new; those that are there already cost no lock and no WAL."""
        return self._run(
            f"{self._insert()} WHERE t.uuid IS NOT NULL AND {self._only(members=members)} ORDER BY t.type_id, t.start"
            " ON CONFLICT (user_id, uuid) WHERE uuid IS NOT NULL DO NOTHING",
            self._user,
            self._batch,
        )

    def present(self) -> set[UUID]:
        """Staged uuids that have a row already."""
        rows = self._rows(
            f"SELECT t.uuid FROM {self._table} AS t JOIN {self._samples} AS s ON s.user_id = %s AND s.uuid = t.uuid",
            self._user,
        )
        return {_uuid(uuid) for (uuid,) in rows}

    def differing(self) -> list[tuple[UUID, int, bool]]:
        """Staged rows whose stored row has another content: uuid, the stored row's key, whether it may look otherwise
        to a record without uuid."""
        second = self._engine.second
        unlike = " OR ".join(
            (
                "s.type_id <> t.type_id",
                "COALESCE(s.category, 0) <> COALESCE(t.category, 0)",
                "COALESCE(s.value, 0) <> COALESCE(t.value, 0)",
                *(f"{second(f's.{name}')} <> {second(f't.{name}')}" for name in (self._start, self._end)),
            )
        )
        rows = self._rows(
            f"SELECT t.uuid, s.id, ({unlike}) FROM {self._table} AS t"
            f" JOIN {self._samples} AS s ON s.user_id = %s AND s.uuid = t.uuid WHERE s.rank <> t.rank"
            " OR COALESCE(s.sync_version, 0) <> COALESCE(t.sync_version, 0)",
            self._user,
        )
        return [(_uuid(uuid), row_id, bool(looks)) for uuid, row_id, looks in rows]

    def update(self, *, members: bool = False) -> int:
        """Rows with a uuid whose stored version is a lower one; after the insert its own rows are equal and stay."""
        pairs = zip(self._columns, self._values, strict=True)
        assignments = ", ".join(f"{column} = {value}" for column, value in pairs)
        return self._run(
            f"UPDATE {self._samples} AS s SET batch_id = %s, {assignments} FROM {self._table} AS t"
            f" WHERE s.user_id = %s AND s.uuid = t.uuid AND {self._only(members=members)}"
            f" AND {_version('t')} > {_version('s')}",
            self._batch,
            self._user,
        )

    def insert_copies(self) -> int:
        """All staged rows without a uuid, with the twin key and ordinal they were staged with."""
        return self._run(
            f"{self._insert()} WHERE t.uuid IS NULL ORDER BY t.type_id, t.start",
            self._user,
            self._batch,
        )

    def neighbours(self) -> set[int]:
        """Keys of stored rows with a uuid that share type, start and end second with a staged row without."""
        return self._neighbours(self._table, "l.uuid IS NULL")

    def neighbours_of(self, row_ids: Iterable[int]) -> set[int]:
        """The same for stored rows without uuid, by their keys."""
        found: set[int] = set()
        for part in slices(row_ids):
            found |= self._neighbours(self._samples, f"l.id IN ({', '.join('%s' for _ in part)})", *part)
        return found

    def _neighbours(self, left: str, which: str, *params: Any) -> set[int]:
        second, above = self._engine.second, self._engine.next_second
        start, end = self._start, self._end
        rows = self._rows(
            f"SELECT DISTINCT s.id FROM {left} AS l JOIN {self._samples} AS s"
            f" ON s.type_id = l.type_id AND s.{start} >= {second(f'l.{start}')} AND s.{start} < {above(f'l.{start}')}"
            f" AND {second(f's.{end}')} = {second(f'l.{end}')}"
            f" WHERE s.user_id = %s AND s.uuid IS NOT NULL AND {which}",
            self._user,
            *params,
        )
        return {int(key) for (key,) in rows}

    @property
    def _start(self) -> str:
        return self._quote("start")

    @property
    def _end(self) -> str:
        return self._quote("end")

    def _insert(self) -> str:
        columns, values = ", ".join(self._columns), ", ".join(self._values)
        return (
            f"INSERT INTO {self._samples} (user_id, batch_id, {columns})"
            f" SELECT %s, %s, {values} FROM {self._table} AS t"
        )

    def _only(self, *, members: bool) -> str:
        return f"t.{MARK}" if members else f"NOT t.{MARK}"

    def _run(self, sql: str, *params: Any) -> int:
        self._cursor.execute(sql, params)
        return int(self._cursor.rowcount)

    def _rows(self, sql: str, *params: Any) -> list[Any]:
        self._cursor.execute(sql, params)
        return list(self._cursor.fetchall())


def row(
    sample: samples.Sample,
    *,
    type_ids: Mapping[str, int],
    source_ids: Mapping[samples.Source, int],
    is_member: bool,
    twin: UUID | None = None,
    fp_seq: int = 0,
) -> Row:
    return (
        sample.uuid,
        sample.fingerprint,
        sample.rank,
        type_ids[sample.identifier],
        sample.start,
        sample.end,
        sample.value,
        sample.category,
        sample.unit,
        sample.time_zone,
        str(sample.zone_basis),
        source_ids[sample.source] if sample.source is not None else None,
        sample.metadata,
        sample.details,
        sample.sync_version,
        sample.sync_key,
        twin,
        fp_seq,
        is_member,
    )


def sample_field(name: str) -> Field[Any, Any]:
    field = HealthSample._meta.get_field(name)
    assert isinstance(field, Field)
    return field


def slices(keys: Iterable[T]) -> Iterator[list[T]]:
    """Parts that fit into one statement."""
    every = list(keys)
    for first in range(0, len(every), AT_ONCE):
        yield every[first : first + AT_ONCE]


def _version(alias: str) -> str:
    """The better version compares greater; no sync version is below any."""
    known = f"CASE WHEN {alias}.sync_version IS NULL THEN 0 ELSE 1 END"
    return f"({known}, COALESCE({alias}.sync_version, 0), {alias}.rank)"


def _uuid(value: UUID | str) -> UUID:
    """SQLite keeps uuids as 32 hexadecimal digits."""
    return value if isinstance(value, UUID) else UUID(value)
