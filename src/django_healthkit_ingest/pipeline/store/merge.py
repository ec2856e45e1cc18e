"""The set-based merge of one chunk into the sample table; the caller's transaction is the chunk's.

The law: the table is a function of the *set* of batches received, never of their order, repetition or chunking.

- The same uuid is the same sample; of two versions the higher (sync version, rank) stays.
- Of records with one sync key the highest (sync version, uuid) stays, also against versions that are dead by now.
- A deleted or replaced uuid stays dead, whichever came first, and so do the members of a dead correlation.
- Records without uuid are counted (``copies``): two different uuids are never one sample.

Why it holds with many workers: every writer of a user's rows takes the user's lock first (``locks``), and at READ
COMMITTED each later statement sees all that the lock's previous holder committed. So the merges of one user happen one
after the other in some order, and the law says that any order will do; and what was looked up under the lock is still
so when the rows are written, so they can go straight into the table. Parsing, the longer part, still overlaps.

The usual chunk, uuids without deletions, costs the lock, one query of gates, one lookup of its uuids and one write;
every rule beyond that is asked only of chunks and users it can matter for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connections

from django_healthkit_ingest.core import samples
from django_healthkit_ingest.core.twins import Likeness
from django_healthkit_ingest.models import HealthSample, Membership, Tombstone
from django_healthkit_ingest.pipeline.store.copies import Counted, Recall, absorb, count
from django_healthkit_ingest.pipeline.store.engine import keys_of, slices
from django_healthkit_ingest.pipeline.store.graves import Graveyard, Mark, Reason
from django_healthkit_ingest.pipeline.store.locks import Scope, lock_user
from django_healthkit_ingest.pipeline.store.looks import look, look_of_row
from django_healthkit_ingest.pipeline.store.place import Place
from django_healthkit_ingest.pipeline.store.series import store_series
from django_healthkit_ingest.pipeline.store.table import SampleTable, Stored, Version, version_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """Outcomes of a chunk's samples and deletions, and the effects on rows outside the sum."""

    inserted: int = 0
    updated: int = 0
    adopted: int = 0
    duplicate: int = 0
    superseded: int = 0
    buried: int = 0
    deletion: int = 0
    rows_removed: int = 0
    rows_absorbed: int = 0
    rows_of_members: int = 0


def merge(
    parsed: Sequence[samples.Sample],
    deletions: Sequence[samples.Deletion],
    *,
    place: Place,
    type_ids: Mapping[str, int],
    source_ids: Mapping[samples.Source, int],
    recall: Recall,
) -> Merged:
    """Store samples and apply deletions under the user's lock. Raises RuntimeError outside a transaction."""
    connection = connections[place.using]
    if not connection.in_atomic_block:
        raise RuntimeError("merge() runs inside the transaction that completes the chunk.")
    if not parsed and not deletions:
        return Merged()
    chunk = _Chunk(parsed)
    with connection.cursor() as cursor:
        table = SampleTable(
            cursor,
            user_id=place.user_id,
            batch_id=place.batch_id,
            using=place.using,
            type_ids=type_ids,
            source_ids=source_ids,
        )
        lock_user(place.user_id, scope=Scope.SAMPLES, using=place.using)
        return _Merge(chunk, table=table, place=place).run(deletions, recall=recall)


class _Chunk:
    """A chunk's samples, collapsed: of each uuid the best version, and all without."""

    def __init__(self, parsed: Sequence[samples.Sample]) -> None:
        self.number = len(parsed)
        self.kept: dict[UUID, samples.Sample] = {}
        self.losers: list[samples.Sample] = []
        self.loose: list[samples.Sample] = []
        self.loose_members: list[samples.Sample] = []
        self.memberships: set[tuple[UUID, UUID]] = set()
        self._add(parsed, self.loose)
        self.nested: set[UUID] = set()
        """Uuids that are members of correlations only; all others are records of their own."""
        correlations = [sample for sample in parsed if sample.members]
        if correlations:
            own = set(self.kept)
            for sample in correlations:
                self._add(sample.members, self.loose_members)
                members = [member.uuid for member in sample.members if member.uuid is not None]
                if sample.uuid is not None:
                    self.memberships.update((sample.uuid, member) for member in members)
            self.nested = self.kept.keys() - own
        self.looks = {id(sample): look(sample) for sample in (*self.loose, *self.loose_members)}
        """Of those without uuid, by ``id``; made before the lock is taken, for it is a good part of their work."""

    def _add(self, parsed: Sequence[samples.Sample], loose: list[samples.Sample]) -> None:
        for sample in parsed:
            if sample.uuid is None:
                loose.append(sample)
            elif (known := self.kept.setdefault(sample.uuid, sample)) is not sample:
                better = _version(sample) > _version(known)
                self.kept[sample.uuid] = sample if better else known
                self.losers.append(known if better else sample)

    def records(self, several: Iterable[samples.Sample]) -> list[samples.Sample]:
        """Those of them, all with a uuid, that are records of their own."""
        return [each for each in several if each.uuid not in self.nested] if self.nested else list(several)

    def winner(self, loser: samples.Sample) -> samples.Sample:
        assert loser.uuid is not None
        return self.kept[loser.uuid]


class _Merge:
    """The steps of one merge, in their order."""

    def __init__(self, chunk: _Chunk, *, table: SampleTable, place: Place) -> None:
        self._chunk = chunk
        self._table = table
        self._place = place
        self._graves = Graveyard(user_id=place.user_id, using=place.using)
        self._alive = dict(chunk.kept)
        self._dead: set[UUID] = set()
        self._buried = self._superseded = 0

    def run(self, deletions: Sequence[samples.Deletion], *, recall: Recall) -> Merged:
        chunk, table = self._chunk, self._table
        has_loose, has_dead, has_members = table.gates()
        self._bury(deletions, has_dead=has_dead, has_members=has_members)
        missing, others = table.unlike(self._alive)
        table.insert(missing)
        updated = self._update(others)
        living = (sample for sample in self._alive.values() if sample.series)
        store_series(living, user_id=self._place.user_id, using=self._place.using)
        absorbed = adopted = 0
        if has_loose:
            newcomers = [look(each) for each in chunk.records(missing)]
            looks = {look(each) for each in (*chunk.kept.values(), *chunk.losers)} | self._graves.looks
            absorbed, adopted = absorb(table, looks, newcomers=newcomers, place=self._place)
        counted = Counted()
        if chunk.loose or chunk.loose_members:
            counted = count(
                table, chunk.loose, chunk.loose_members, looks=chunk.looks, place=self._place, recall=recall
            )
        own = len(chunk.records(missing))
        inserted = own + counted.inserted - adopted
        updated += counted.updated
        counted_otherwise = inserted + updated + adopted + self._superseded + self._buried
        return Merged(
            inserted=inserted,
            updated=updated,
            adopted=adopted,
            duplicate=chunk.number - counted_otherwise,
            superseded=self._superseded,
            buried=self._buried,
            deletion=len(deletions),
            rows_removed=self._graves.rows_removed,
            rows_absorbed=absorbed - adopted,
            rows_of_members=len(missing) - own + counted.inserted_members,
        )

    def _bury(self, deletions: Sequence[samples.Deletion], *, has_dead: bool, has_members: bool) -> None:
        """Who is dead before anything is stored: deleted, replaced, or a member of what is dead."""
        chunk, graves = self._chunk, self._graves
        graves.remember_samples(each for each in chunk.losers if look(each) != look(chunk.winner(each)))
        if chunk.memberships:
            self._remember_members()
        deleted = {deletion.uuid for deletion in deletions}
        if deleted:
            graves.bury(deleted, reason=Reason.DELETED)
        if (has_dead or deleted) and chunk.kept:
            self._drop(graves.buried(chunk.kept), reason=None)
        if any(sample.sync_key is not None for sample in chunk.kept.values()):
            self._supersede()
        if has_members or chunk.memberships:
            members = graves.bury_members(deleted | self._dead)
            self._drop(members & chunk.kept.keys(), reason=None)

    def _drop(self, uuids: Iterable[UUID], *, reason: Reason | None) -> None:
        """Records of this chunk that are dead are not stored; what they said of themselves is kept.

        ``reason`` None: their tombstone is there already and keeps its own.
        """
        gone = [sample for uuid in uuids if (sample := self._alive.pop(uuid, None)) is not None]
        if not gone:
            return
        marks = {
            sample.uuid: Mark(sync_key=sample.sync_key, sync_version=sample.sync_version)
            for sample in gone
            if sample.uuid is not None and sample.sync_key is not None and sample.sync_version is not None
        }
        dead = {sample.uuid for sample in gone if sample.uuid is not None}
        self._graves.remember_samples(gone)
        self._graves.bury(dead if reason is not None else marks, reason=reason or Reason.SUPERSEDED, marks=marks)
        self._dead |= dead
        counted = len(dead - self._chunk.nested)
        if reason is None:
            self._buried += counted
        else:
            self._superseded += counted

    def _supersede(self) -> None:
        """Of the records of each sync key only the highest is left, in this chunk and in the table."""
        mine = [sample for sample in self._chunk.kept.values() if sample.sync_key is not None]
        marks: dict[UUID, tuple[int, UUID]] = {}
        live: list[tuple[UUID, int, UUID]] = []
        user_id, using = self._place.user_id, self._place.using
        fields = ("sync_key", "sync_version", "uuid")
        keys = {sample.sync_key for sample in mine if sample.sync_key is not None}
        for rows in slices(keys_of(keys, column="sync_key", user_id=user_id, using=using)):
            live += HealthSample.objects.using(using).filter(pk__in=rows).values_list(*fields)
        for part in slices(keys):
            dead = Tombstone.objects.using(using).filter(user_id=user_id, sync_key__in=part)
            for key, version, uuid in dead.values_list(*fields):
                marks[key] = max(marks.get(key, (version, uuid)), (version, uuid))
        claims = [(each.sync_key, each.sync_version or 0, each.uuid) for each in mine if each.sync_key and each.uuid]
        for key, version, uuid in (*live, *claims):
            marks[key] = max(marks.get(key, (version, uuid)), (version, uuid))
        beaten = {uuid for key, _, uuid in live if marks[key][1] != uuid}
        if beaten:
            self._graves.bury(beaten, reason=Reason.SUPERSEDED)
            self._dead |= beaten
        self._drop((uuid for key, _, uuid in claims if marks[key][1] != uuid), reason=Reason.SUPERSEDED)

    def _remember_members(self) -> None:
        rows = [
            Membership(user_id=self._place.user_id, correlation=correlation, member=member)
            for correlation, member in sorted(self._chunk.memberships)
        ]
        Membership.objects.using(self._place.using).bulk_create(rows, ignore_conflicts=True, batch_size=1000)

    def _update(self, others: Sequence[tuple[samples.Sample, Stored]]) -> int:
        """Rows whose stored version is a lower one take this chunk's; how many of them are records' own."""
        if not others:
            return 0
        better = {row.id: sample for sample, row in others if _version(sample) > row.version}
        self._remember_changed({row.id: sample for sample, row in others}, better=better.keys())
        self._table.replace(better)
        return len(self._chunk.records(better.values()))

    def _remember_changed(self, differing: Mapping[int, samples.Sample], *, better: Collection[int]) -> None:
        """A uuid that was seen looking two ways is known by both: the version that loses is remembered."""
        seen: list[tuple[UUID, Likeness]] = []
        for part in slices(differing):
            rows = HealthSample.objects.using(self._place.using).filter(pk__in=part).select_related("type")
            for row in rows.defer("metadata", "details"):
                assert row.uuid is not None
                before, now = look_of_row(row), look(differing[row.pk])
                if before != now:
                    seen.append((row.uuid, before if row.pk in better else now))
        self._graves.remember_all(seen)


def _version(sample: samples.Sample) -> Version:
    return version_of(sample.rank, sample.sync_version)
