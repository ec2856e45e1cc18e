"""Ended chunks back to work: what was received is read again with the code and the catalogue of today."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, TypedDict, Unpack
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from django_healthkit_ingest.conf import get_registry
from django_healthkit_ingest.core.states import FINAL, Status
from django_healthkit_ingest.exceptions import PayloadUnavailable
from django_healthkit_ingest.models import HealthSample, ImportBatch, ImportChunk, Statistic, database
from django_healthkit_ingest.pipeline.complete import rehearse
from django_healthkit_ingest.pipeline.dispatch import dispatch
from django_healthkit_ingest.pipeline.failures import PERMANENT, LostClaim
from django_healthkit_ingest.pipeline.store.locks import Scope, lock_user
from django_healthkit_ingest.querysets import ImportBatchQuerySet, ImportChunkQuerySet
from django_healthkit_ingest.queues import in_this_context

BATCHES_AT_ONCE = 200
"""Of one user, in one transaction."""


class Selection(TypedDict, total=False):
    """Which batches: those that fit everything that is given, and something has to be."""

    batch: ImportBatch | None
    user_id: Any
    identifier: str | None
    """A type's identifier or alias. Batches are found by the rows that came from them and by their unknown types;
    those in which a record was rejected or a chunk failed are taken too, for nobody knows those records' types."""
    only_failed: bool
    """Only FAILED chunks; otherwise all chunks of a batch, so that its totals are of one reading."""
    skip_purged: bool
    """Leave out batches whose payloads are gone, instead of refusing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What was taken back to work, and what was left as it is."""

    batches: int
    chunks: int
    unfinished: int
    """Batches that are still being worked on."""
    purged: int
    """Batches without payloads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """What a replay of one batch would do: outcomes of records and effects on rows, those of zero left out."""

    batch: UUID
    chunks: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    ready: Sequence[tuple[Any, int]]
    """User and batch, sorted."""
    unfinished: int
    purged: int


def replay(*, overrule: bool = False, include_set_aside: bool = False, **selection: Unpack[Selection]) -> Replayed:
    """Put the chunks back to PENDING and their batches to PROCESSING; workers do the rest, as with any chunk.

    Only finished batches. A row is replaced where today's reading of its record has the higher rank: a newer
    normaliser's, or one that knows the type. ``overrule`` makes today's reading replace the selected batches' rows
    whatever the rank, for a host that has changed a type it knew already. ``include_set_aside`` runs the records again
    that ``bisect`` has set aside, for a host that has mended what killed its workers.

    Raises PayloadUnavailable if a payload is gone and ``skip_purged`` is not set; nothing is changed then.
    """
    using = database()
    found = find(using=using, **selection)
    only_failed = selection.get("only_failed", False)
    batches = chunks = 0
    for user_id, of_user in groupby(found.ready, key=lambda pair: pair[0]):
        batch_ids = [batch_id for _, batch_id in of_user]
        for first in range(0, len(batch_ids), BATCHES_AT_ONCE):
            some = batch_ids[first : first + BATCHES_AT_ONCE]
            reopened = _reopen(
                some,
                user_id=user_id,
                only_failed=only_failed,
                overrule=overrule,
                include_set_aside=include_set_aside,
                using=using,
            )
            batches += reopened[0]
            chunks += reopened[1]
    return Replayed(batches=batches, chunks=chunks, unfinished=found.unfinished, purged=found.purged)


def rehearse_replay(*, overrule: bool = False, **selection: Unpack[Selection]) -> Iterator[Rehearsed]:
    """What ``replay`` would do, batch by batch; whatever is written for that is rolled back, and no status changes.

    Every chunk is tried against the tables as they are, so a record that two chunks of a batch hold counts as new in
    both. Raises as ``replay`` does.
    """
    using = database()
    only_failed = selection.get("only_failed", False)
    for user_id, batch_id in find(using=using, **selection).ready:
        chunks = _chunks(only_failed=only_failed, using=using).filter(batch_id=batch_id).order_by("index")
        places = list(chunks.values_list("pk", "batch__uuid"))
        counts: Counter[str] = Counter()
        with _overruled(batch_id, user_id=user_id, using=using) if overrule else nullcontext():
            for chunk_id, _ in places:
                counts.update(_rehearse(chunk_id, using=using))
        if places:  # else erased meanwhile
            uuid = places[0][1]
            yield Rehearsed(batch=uuid, chunks=len(places), counts={name: n for name, n in counts.items() if n})


def find(
    *,
    batch: ImportBatch | None = None,
    user_id: Any = None,
    identifier: str | None = None,
    only_failed: bool = False,
    skip_purged: bool = False,
    using: str,
) -> Found:
    if batch is None and user_id is None and identifier is None and not only_failed:
        raise ValueError("Name a batch, a user or a type, or ask for failed chunks only.")
    mine = ImportChunk.objects.using(using).filter(batch=OuterRef("pk"))
    if only_failed:
        mine = mine.filter(status=Status.FAILED)
    batches = ImportBatch.objects.using(using).filter(Exists(mine))
    if batch is not None:
        batches = batches.filter(pk=batch.pk)
    if user_id is not None:
        batches = batches.filter(user_id=user_id)
    holding = None if identifier is None else _holding(identifier, among=batches, using=using)
    rows = batches.annotate(purged=Exists(mine.filter(payload__isnull=True))).order_by("user_id", "pk")
    ready: list[tuple[Any, int]] = []
    unfinished = purged = 0
    for owner_id, batch_id, finished_at, is_purged in rows.values_list("user_id", "pk", "finished_at", "purged"):
        if holding is not None and batch_id not in holding:
            continue
        if finished_at is None:
            unfinished += 1
        elif is_purged:
            purged += 1
        else:
            ready.append((owner_id, batch_id))
    if purged and not skip_purged:
        raise PayloadUnavailable(
            f"{purged} of the batches have no payload any more; only the phone can send these records again. Skip such"
            " batches to replay the others, and raise PAYLOAD_RETENTION to keep payloads longer."
        )
    return Found(ready=ready, unfinished=unfinished, purged=purged)


def _holding(identifier: str, *, among: ImportBatchQuerySet, using: str) -> set[int]:
    known = get_registry().get(identifier)
    names = [identifier] if known is None else [known.identifier, *known.aliases]
    users = among.values("user_id")
    found: set[int] = set()
    for model in (HealthSample, Statistic):
        # The index of both begins with user and type.
        rows = model._default_manager.using(using).filter(user_id__in=users, type__identifier__in=names)
        found.update(rows.values_list("batch_id", flat=True).distinct())
    unread = Q(payload__isnull=False) & (Q(rejected__gt=0) | Q(status=Status.FAILED))
    chunks = ImportChunk.objects.using(using).filter(Q(unknown_types__has_any_keys=names) | unread, batch__in=among)
    found.update(chunks.values_list("batch_id", flat=True).distinct())
    return found


def _reopen(
    batch_ids: Sequence[int],
    *,
    user_id: Any,
    only_failed: bool,
    overrule: bool,
    include_set_aside: bool,
    using: str,
) -> tuple[int, int]:
    """How many batches and chunks; those erased or taken by another replay since they were found are left alone."""
    with transaction.atomic(using=using):
        lock_user(user_id, scope=Scope.SAMPLES, using=using)
        batches = ImportBatch.objects.using(using).filter(pk__in=batch_ids, finished_at__isnull=False)
        lanes = dict(batches.order_by("pk").select_for_update().values_list("pk", "lane"))
        chunks = _chunks(only_failed=only_failed, using=using).filter(batch_id__in=lanes)
        ended = chunks.count()
        if overrule:
            _yield_rows(list(lanes), user_id=user_id, using=using)
        if include_set_aside:
            chunks.include_set_aside()
        reopened = chunks.reopen()
        if reopened != ended:
            raise PayloadUnavailable("A payload was purged this moment; only the phone can send these records again.")
        batches.filter(pk__in=lanes).reopen()
        for lane in sorted(set(lanes.values())):
            transaction.on_commit(in_this_context(partial(_send, user_id, lane)), using=using, robust=True)
    return len(lanes), reopened


def _send(user_id: Any, lane: str) -> None:
    dispatch(user_id=user_id, lane=lane)


def _chunks(*, only_failed: bool, using: str) -> ImportChunkQuerySet:
    return ImportChunk.objects.using(using).filter(status__in=(Status.FAILED,) if only_failed else FINAL)


def _yield_rows(batch_ids: Sequence[int], *, user_id: Any, using: str) -> None:
    for model in (HealthSample, Statistic):
        model.objects.using(using).filter(user_id=user_id, batch_id__in=batch_ids).yield_to_any_reading()


@contextmanager
def _overruled(batch_id: int, *, user_id: Any, using: str) -> Iterator[None]:
    with transaction.atomic(using=using):
        lock_user(user_id, scope=Scope.SAMPLES, using=using)
        _yield_rows([batch_id], user_id=user_id, using=using)
        yield
        transaction.set_rollback(True, using=using)


def _rehearse(chunk_id: int, *, using: str) -> Mapping[str, int]:
    chunk = ImportChunk.objects.using(using).select_related("batch").filter(pk=chunk_id).first()
    if chunk is None:
        return {}  # erased meanwhile
    try:
        return rehearse(chunk)
    except LostClaim:
        return {}
    except PERMANENT:
        return {"failed": chunk.received}
