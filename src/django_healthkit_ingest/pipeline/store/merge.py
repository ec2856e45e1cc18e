"""The set-based merge of one chunk into the sample table; the caller's transaction is the chunk's.

The steps are SQL that PostgreSQL and SQLite both speak; how a staging table is filled differs per engine.

The same sample is the same user and HealthKit uuid, or, without a uuid, the same user and fingerprint. When two
records of one sample differ, the higher ``rank`` stays, whichever came first: the table is a function of what was
received and not of its order. A deletion leaves a tombstone, which buries the sample also when it comes later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast
from uuid import UUID

from django.db import connections
from django.db.backends.utils import CursorWrapper
from django.db.models import Field

from django_healthkit_ingest.core import samples
from django_healthkit_ingest.models import HealthSample, Tombstone
from django_healthkit_ingest.pipeline.store.locks import Scope, lock_user

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
)
"""The fields of a sample that come from the record, in the order of the staging table's columns."""

Row = tuple[Any, ...]


class Engine(Protocol):
    """What differs between databases: how rows get into the staging table, and how a column is read from it."""

    def stage(self, cursor: CursorWrapper, rows: Iterable[Row], *, using: str) -> str:
        """Fill the staging table of this transaction and answer its quoted name."""

    def read(self, field: str, column: str) -> str:
        """The SQL expression that turns a staged column into the sample's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """Outcomes of a chunk's samples and deletions, and the effect on rows outside the sum."""

    inserted: int = 0
    updated: int = 0
    duplicate: int = 0
    buried: int = 0
    deletion: int = 0
    rows_removed: int = 0


def merge(
    parsed: Sequence[samples.Sample],
    deletions: Sequence[samples.Deletion],
    *,
    user_id: Any,
    batch_id: int,
    type_ids: Mapping[str, int],
    source_ids: Mapping[samples.Source, int],
    using: str,
) -> Merged:
    """Store samples and apply deletions under the user's lock. Raises RuntimeError outside a transaction."""
    connection = connections[using]
    if not connection.in_atomic_block:
        raise RuntimeError("merge() runs inside the transaction that completes the chunk.")
    if not parsed and not deletions:
        return Merged()
    engine = cast("Engine", import_module(ENGINES[connection.vendor]))
    kept = _collapse(parsed)
    staged = [_row(sample, type_ids=type_ids, source_ids=source_ids) for sample in kept]
    staged += [_deletion_row(uuid) for uuid in {deletion.uuid for deletion in deletions}]
    with connection.cursor() as cursor:
        table = engine.stage(cursor, staged, using=using)
        lock_user(user_id, scope=Scope.SAMPLES, using=using)
        steps = _Steps(cursor, engine=engine, table=table, user_id=user_id, batch_id=batch_id, using=using)
        removed = steps.delete() if deletions else 0
        buried = steps.bury() if kept and steps.has_tombstones() else 0
        inserted, updated = (0, 0)
        for key in (("uuid",), ("fingerprint", "fp_seq")):
            expected = sum((sample.uuid is not None) == (key == ("uuid",)) for sample in kept)
            if expected:
                new = steps.insert(key)
                inserted += new
                updated += steps.update(key) if new < expected else 0
    return Merged(
        inserted=inserted,
        updated=updated,
        duplicate=len(parsed) - inserted - updated - buried,
        buried=buried,
        deletion=len(deletions),
        rows_removed=removed,
    )


def _collapse(parsed: Iterable[samples.Sample]) -> list[samples.Sample]:
    """The best record of each sample; the others of this chunk are duplicates of it."""
    best: dict[tuple[bool, UUID], samples.Sample] = {}
    for sample in parsed:
        key = (True, sample.uuid) if sample.uuid is not None else (False, sample.fingerprint)
        known = best.get(key)
        if known is None or sample.rank > known.rank:
            best[key] = sample
    return list(best.values())


def _row(sample: samples.Sample, *, type_ids: Mapping[str, int], source_ids: Mapping[samples.Source, int]) -> Row:
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
    )


def _deletion_row(uuid: UUID) -> Row:
    """A deletion travels as a staged row with nothing but its uuid."""
    return (uuid, *(None for _ in STAGED[1:]))


class _Steps:
    """The statements of one merge, bound to its cursor and names."""

    def __init__(
        self, cursor: CursorWrapper, *, engine: Engine, table: str, user_id: Any, batch_id: int, using: str
    ) -> None:
        connection = connections[using]
        quote = connection.ops.quote_name
        self.cursor = cursor
        self.staging = table
        self.samples = quote(HealthSample._meta.db_table)
        self.tombstones = quote(Tombstone._meta.db_table)
        self.user = HealthSample._meta.get_field("user").get_db_prep_value(user_id, connection)
        self.batch = batch_id
        self.columns = [quote(_column(field)) for field in STAGED]
        self.values = [engine.read(field, f"t.{quote(_column(field))}") for field in STAGED]

    def _run(self, sql: str, *params: Any) -> int:
        self.cursor.execute(sql, params)
        return int(self.cursor.rowcount)

    def delete(self) -> int:
        dead = f"SELECT uuid FROM {self.staging} WHERE fingerprint IS NULL"
        removed = self._run(f"DELETE FROM {self.samples} WHERE user_id = %s AND uuid IN ({dead})", self.user)
        self._run(
            f"INSERT INTO {self.tombstones} (user_id, uuid) SELECT %s, uuid FROM {self.staging} AS t"
            " WHERE fingerprint IS NULL ON CONFLICT (user_id, uuid) DO NOTHING",
            self.user,
        )
        return removed

    def has_tombstones(self) -> bool:
        self.cursor.execute(f"SELECT EXISTS (SELECT 1 FROM {self.tombstones} WHERE user_id = %s)", [self.user])
        return bool(self.cursor.fetchone()[0])

    def bury(self) -> int:
        dead = f"SELECT uuid FROM {self.tombstones} WHERE user_id = %s"
        return self._run(f"DELETE FROM {self.staging} WHERE fingerprint IS NOT NULL AND uuid IN ({dead})", self.user)

    def insert(self, key: tuple[str, ...]) -> int:
        """Rows that are new; those that are there already cost no lock and no WAL."""
        columns, values = ", ".join(self.columns), ", ".join(self.values)
        mine = "uuid IS NOT NULL" if key == ("uuid",) else "uuid IS NULL"
        return self._run(
            f"INSERT INTO {self.samples} (user_id, batch_id, fp_seq, {columns})"
            f" SELECT %s, %s, 0, {values} FROM {self.staging} AS t"
            f" WHERE t.fingerprint IS NOT NULL AND t.{mine} ORDER BY t.type_id, t.start"
            f" ON CONFLICT (user_id, {', '.join(key)}) WHERE {mine} DO NOTHING",
            self.user,
            self.batch,
        )

    def update(self, key: tuple[str, ...]) -> int:
        """Rows that are there with a lower rank; after the insert, its own rows are equal and stay as they are."""
        assignments = ", ".join(f"{column} = {value}" for column, value in zip(self.columns, self.values, strict=True))
        if key == ("uuid",):
            same = "s.uuid = t.uuid"
        else:
            same = "s.uuid IS NULL AND t.uuid IS NULL AND s.fp_seq = 0 AND s.fingerprint = t.fingerprint"
        return self._run(
            f"UPDATE {self.samples} AS s SET batch_id = %s, {assignments} FROM {self.staging} AS t"
            f" WHERE s.user_id = %s AND t.fingerprint IS NOT NULL AND {same} AND t.rank > s.rank",
            self.batch,
            self.user,
        )


def sample_field(name: str) -> Field[Any, Any]:
    field = HealthSample._meta.get_field(name)
    assert isinstance(field, Field)
    return field


def _column(field: str) -> str:
    return str(sample_field(field).column)
