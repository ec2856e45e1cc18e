"""A user deletes one sample here: it goes, and what comes again of it stays away."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from django.db import connections, transaction

from django_healthkit_ingest.models import HealthSample, Tombstone, database
from django_healthkit_ingest.pipeline.owned import owned
from django_healthkit_ingest.pipeline.samples import find_sample
from django_healthkit_ingest.pipeline.store.copies import absorb
from django_healthkit_ingest.pipeline.store.graves import Graveyard
from django_healthkit_ingest.pipeline.store.locks import Scope, lock_user, read_committed
from django_healthkit_ingest.pipeline.store.looks import look_of_row
from django_healthkit_ingest.pipeline.store.place import Place
from django_healthkit_ingest.pipeline.store.table import SampleTable
from django_healthkit_ingest.signals import samples_changed


def forget_sample(*, user: Any, sample_id: str) -> None:
    """Delete the row and bury its uuid, as a deletion from the phone would; members of a correlation go with it.

    A sample without uuid has nothing to bury: one more uuid counts as seen with its looks, so no repeat of the same
    records brings the row back. Of several copies without uuid that look the same the first one goes. Raises NotFound.
    """
    row = find_sample(user=user, sample_id=sample_id)
    using = database()
    nested = connections[using].in_atomic_block
    with transaction.atomic(using=using):
        if not nested:
            read_committed(using)
        lock_user(user.pk, scope=Scope.SAMPLES, using=using)
        mine = owned(HealthSample, user=user).filter(pk=row.pk).first()
        if mine is None:  # somebody was faster
            return
        removed = _bury(mine, using=using)
        transaction.on_commit(lambda: _announce(mine, removed=removed), using=using, robust=True)


def _bury(row: HealthSample, *, using: str) -> int:
    place = Place(user_id=row.user_id, batch_id=row.batch_id, chunk_id=0, only_chunk=True, using=using)
    graves = Graveyard(user_id=row.user_id, using=using)
    if row.uuid is not None:
        graves.bury({row.uuid}, reason=Tombstone.Reason.DELETED)
        graves.bury_members({row.uuid})
    else:
        graves.remember_all([(uuid4(), look_of_row(row))])
    with connections[using].cursor() as cursor:
        table = SampleTable(cursor, user_id=row.user_id, batch_id=row.batch_id, using=using, type_ids={}, source_ids={})
        absorbed, _ = absorb(table, graves.looks, newcomers=(), place=place)
    return graves.rows_removed + absorbed


def _announce(row: HealthSample, *, removed: int) -> None:
    samples_changed.send_robust(
        sender=HealthSample,
        user_id=row.user_id,
        batch_id=None,
        cause="deletion",
        identifiers=frozenset({row.identifier}),
        start=row.start,
        end=row.end,
        inserted=0,
        updated=0,
        removed=removed,
    )
