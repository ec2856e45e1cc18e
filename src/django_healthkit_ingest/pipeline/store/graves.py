"""Records that are dead: how a uuid dies, and what is remembered of it.

Everything here runs under the user's lock, so nobody else writes these rows between a reading and a writing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django_healthkit_ingest.core import samples
from django_healthkit_ingest.core.twins import Likeness
from django_healthkit_ingest.models import HealthSample, Membership, Tombstone, Trace
from django_healthkit_ingest.pipeline.store.engine import keys_of, slices
from django_healthkit_ingest.pipeline.store.looks import look, look_of_row
from django_healthkit_ingest.pipeline.store.series import drop_series

Reason = Tombstone.Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a record says of itself to the app that replaces it."""

    sync_key: UUID
    sync_version: int


class Graveyard:
    """The dead of one user, while one chunk is merged."""

    def __init__(self, *, user_id: Any, using: str) -> None:
        self._user_id = user_id
        self._using = using
        self.looks: set[Likeness] = set()
        """How the records looked that died or changed during this merge, for the rows that may be copies of them."""
        self.rows_removed = 0

    def bury(self, uuids: Iterable[UUID], *, reason: Reason, marks: Mapping[UUID, Mark] | None = None) -> None:
        """These uuids are dead from now on, with or without a row.

        A received deletion outweighs a replacement, a mark once known is kept: so the order does not matter.
        """
        dead = sorted(set(uuids))
        known = dict(marks or {})
        for row in self._delete(dead):
            if row.sync_key is not None and row.sync_version is not None and row.uuid is not None:
                mine = Mark(sync_key=row.sync_key, sync_version=row.sync_version)
                known[row.uuid] = _higher(known.get(row.uuid), mine)
        self._write(dead, reason=reason, marks=known)

    def buried(self, uuids: Iterable[UUID]) -> set[UUID]:
        """Those of them that are dead."""
        rows = Tombstone.objects.using(self._using).filter(user_id=self._user_id)
        return {uuid for part in slices(uuids) for uuid in rows.filter(uuid__in=part).values_list("uuid", flat=True)}

    def bury_members(self, correlations: Iterable[UUID]) -> set[UUID]:
        """The members of dead correlations die too; answers who they are."""
        members: set[UUID] = set()
        for part in slices(set(correlations)):
            rows = Membership.objects.using(self._using).filter(user_id=self._user_id, correlation__in=part)
            members.update(rows.values_list("member", flat=True))
        if members:
            self.bury(members, reason=Reason.DELETED)
        return members

    def remember_all(self, pairs: Iterable[tuple[UUID, Likeness]]) -> None:
        """These uuids once looked so."""
        seen = sorted(set(pairs))
        traces = [
            Trace(user_id=self._user_id, uuid=uuid, twin=likeness.twin, value=likeness.value) for uuid, likeness in seen
        ]
        self.looks.update(likeness for _, likeness in seen)
        Trace.objects.using(self._using).bulk_create(traces, ignore_conflicts=True, batch_size=1000)

    def remember_samples(self, records: Iterable[samples.Sample]) -> None:
        self.remember_all((record.uuid, look(record)) for record in records if record.uuid is not None)

    def _delete(self, uuids: Iterable[UUID]) -> list[HealthSample]:
        gone: list[HealthSample] = []
        for part in slices(keys_of(uuids, column="uuid", user_id=self._user_id, using=self._using)):
            rows = HealthSample.objects.using(self._using).filter(pk__in=part)
            gone += rows.select_related("type").defer("metadata", "details")
            rows._raw_delete(self._using)
        self.rows_removed += len(gone)
        self.remember_all((row.uuid, look_of_row(row)) for row in gone if row.uuid is not None)
        drop_series(gone, user_id=self._user_id, using=self._using)
        return gone

    def _write(self, uuids: list[UUID], *, reason: Reason, marks: Mapping[UUID, Mark]) -> None:
        rows = Tombstone.objects.using(self._using)
        there: dict[UUID, Tombstone] = {}
        for part in slices(uuids):
            there |= {row.uuid: row for row in rows.filter(user_id=self._user_id, uuid__in=part)}
        rows.bulk_create(
            [self._tombstone(uuid, reason, marks.get(uuid)) for uuid in uuids if uuid not in there], batch_size=1000
        )
        for row in there.values():
            if _change(row, reason=reason, mark=marks.get(row.uuid)):
                row.save(using=self._using, update_fields=["reason", "sync_key", "sync_version"])

    def _tombstone(self, uuid: UUID, reason: Reason, mark: Mark | None) -> Tombstone:
        key, version = (mark.sync_key, mark.sync_version) if mark is not None else (None, None)
        return Tombstone(user_id=self._user_id, uuid=uuid, reason=reason, sync_key=key, sync_version=version)


def _change(row: Tombstone, *, reason: Reason, mark: Mark | None) -> bool:
    changed = False
    if reason is Reason.DELETED and row.reason != reason:
        row.reason = reason
        changed = True
    if mark is not None and (row.sync_version is None or row.sync_version < mark.sync_version):
        row.sync_key, row.sync_version = mark.sync_key, mark.sync_version
        changed = True
    return changed


def _higher(one: Mark | None, other: Mark) -> Mark:
    return other if one is None or one.sync_version < other.sync_version else one
