"""Everything of one user goes, under the user's lock."""

from __future__ import annotations

from typing import Any

from django.db import models, transaction

from django_healthkit_ingest.models import (
    HealthSample,
    ImportBatch,
    ImportChunk,
    RejectedSample,
    Source,
    Tombstone,
    database,
)
from django_healthkit_ingest.pipeline.store.locks import Scope, lock_user


def erase_user(*, user_id: Any) -> None:
    """Delete samples, tombstones, sources, batches, chunks and rejections of one user, in one transaction.

    A merge that is on its way waits for the lock, then finds its chunk gone and rolls back: no row of an erased user
    is left behind. Set-based, so no row is fetched.
    """
    using = database()
    mine = {"user_id": user_id}
    with transaction.atomic(using=using):
        lock_user(user_id, scope=Scope.SAMPLES, using=using)
        chunks = ImportChunk.objects.using(using).filter(**mine)
        doomed: tuple[models.QuerySet[Any], ...] = (
            RejectedSample.objects.using(using).filter(chunk__in=chunks),
            chunks,
            ImportBatch.objects.using(using).filter(**mine),
            HealthSample.objects.using(using).filter(**mine),
            Tombstone.objects.using(using).filter(**mine),
            Source.objects.using(using).filter(**mine),
        )
        for rows in doomed:
            rows._raw_delete(using)


def erase_deleted_user(*, instance: models.Model, using: str, **kwargs: object) -> None:
    """Receiver of the user model's ``post_delete``: in the same transaction where both share a database, else after it.

    Rows that bypass Django's signals (raw SQL) bypass this too; the next chunk of such a user erases what is there.
    """
    user_id = instance.pk
    if using == database():
        erase_user(user_id=user_id)
    else:
        transaction.on_commit(lambda: erase_user(user_id=user_id), using=using)
