"""Which anchor an app installation may safely resume from: one whose records, and all before them, are in the tables.

The order is the order of accepting. A batch with anchors holds records of the types it names; a batch without may hold
records of any, for one query's result may be cut into several bodies of which only the last has the anchor. So an
anchor waits for every earlier batch of its installation that names its type or has no anchors at all.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.db import connections, transaction
from django.utils import timezone

from django_healthkit_ingest.models import ImportBatch, SyncState, database
from django_healthkit_ingest.pipeline.store.locks import Scope, lock_user, read_committed
from django_healthkit_ingest.pipeline.store.references import type_ids
from django_healthkit_ingest.querysets import ImportBatchQuerySet

AT_ONCE = 500
"""Rows one statement names."""


def accept_failure(*, batch: ImportBatch) -> bool:
    """An operator's word that a FAILED batch will not be stored: what waits for it goes on without it.

    False if it is not FAILED, or was accepted before. Its failed chunks can still be tried again.
    """
    using = database()
    type_ids(batch.anchors or (), using=using)
    nested = connections[using].in_atomic_block
    with transaction.atomic(using=using):
        if not nested:
            read_committed(using)
        lock_user(batch.user_id, scope=Scope.SAMPLES, using=using)
        mine = ImportBatch.objects.using(using).filter(pk=batch.pk)
        if not mine.accept_failure(now=timezone.now()):
            return False
        release(batch=mine.get(), using=using)
    return True


def release(*, batch: ImportBatch, using: str) -> None:
    """Release what waited for this batch, which has just ended, and its own anchors if nothing before it is open.

    The caller holds the user's lock, so that two batches that end together do not both miss the other's end, and has
    made the types of its anchors known.
    """
    if not batch.device_id:
        return
    mine = ImportBatch.objects.using(using).filter(user_id=batch.user_id, device_id=batch.device_id)
    first_unsettled = _first_unsettled_by_type(mine)
    newest: dict[str, tuple[int, str]] = {}
    waiting: dict[int, frozenset[str]] = {}
    rows = mine.settled().with_anchors_to_release().filter(pk__gte=batch.pk).order_by("pk")
    of_any_type = mine.unsettled().without_anchors().order_by("pk").values_list("pk", flat=True).first()
    if of_any_type is not None:
        rows = rows.filter(pk__lt=of_any_type)
    for batch_id, anchors in rows.values_list("pk", "anchors").iterator(chunk_size=100):
        waiting[batch_id] = frozenset(anchors or ())
        for identifier, anchor in (anchors or {}).items():
            if batch_id < first_unsettled.get(identifier, batch_id + 1):
                newest[identifier] = (batch_id, anchor)
    released = _write(newest, batch=batch, using=using)
    ended = [
        batch_id
        for batch_id, identifiers in waiting.items()
        if all(released.get(identifier, 0) >= batch_id for identifier in identifiers)
    ]
    for first in range(0, len(ended), AT_ONCE):
        mine.filter(pk__in=ended[first : first + AT_ONCE]).mark_anchors_released(now=timezone.now())


def _first_unsettled_by_type(mine: ImportBatchQuerySet) -> Mapping[str, int]:
    first: dict[str, int] = {}
    unsettled = mine.unsettled().with_anchors().order_by("pk")
    for batch_id, anchors in unsettled.values_list("pk", "anchors").iterator(chunk_size=100):
        for identifier in anchors or ():
            first.setdefault(identifier, batch_id)
    return first


def _write(newest: Mapping[str, tuple[int, str]], *, batch: ImportBatch, using: str) -> Mapping[str, int]:
    """Answer the batch up to which each type of the installation is released now; never back to an older one."""
    states = SyncState.objects.using(using).filter(user_id=batch.user_id, device_id=batch.device_id)
    released = dict(states.values_list("type__identifier", "batch_id"))
    newer = {name: found for name, found in newest.items() if found[0] > released.get(name, 0)}
    ids = type_ids(newer, using=using)
    now = timezone.now()
    SyncState.objects.using(using).bulk_create(
        [
            SyncState(
                user_id=batch.user_id,
                device_id=batch.device_id,
                type_id=ids[name],
                batch_id=batch_id,
                anchor=anchor,
                released_at=now,
            )
            for name, (batch_id, anchor) in newer.items()
        ],
        update_conflicts=True,
        unique_fields=["user", "device_id", "type"],
        update_fields=["batch", "anchor", "released_at"],
    )
    return {**released, **{name: batch_id for name, (batch_id, _) in newer.items()}}
