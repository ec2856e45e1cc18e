"""The sample table as one user's merge sees it: what is there already, and rows that go in.

Nothing is staged: who holds the user's lock may look first and write afterwards.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connections
from django.db.backends.utils import CursorWrapper

from django_healthkit_ingest.core import samples
from django_healthkit_ingest.models import HealthSample, Membership, Tombstone
from django_healthkit_ingest.pipeline.store.engine import (
    Candidate,
    Moment,
    Row,
    any_row,
    engine_of,
    moment,
    sample_field,
    slices,
)

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

_start = attrgetter("start")

Version = tuple[bool, int, int]
"""Of two versions of one uuid the better one compares greater."""


class Stored(NamedTuple):
    """The row of a uuid, as far as a merge has to know it."""

    id: int
    version: Version


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

    def resembled(self, candidates: Sequence[Candidate]) -> set[int]:
        """Places of those that a row or a trace may resemble."""
        found: set[int] = set()
        first = 0
        for part in slices(candidates):
            places = self._engine.resembled(
                self._cursor, part, moment=self.moment, user_id=self._user, batch_id=self._batch
            )
            found.update(first + place for place in places)
            first += len(part)
        return found

    def type_id(self, record: samples.Sample) -> int:
        return self._type_ids[record.identifier]

    def moment(self, record: samples.Sample) -> Moment:
        return moment(self.type_id(record), record.start, record.end)

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


def version_of(rank: int, sync_version: int | None) -> Version:
    """No sync version is below any."""
    return sync_version is not None, sync_version or 0, rank
