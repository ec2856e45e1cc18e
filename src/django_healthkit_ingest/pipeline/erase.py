"""Everything of one user goes, under the user's lock."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.db import models, router, transaction

from django_healthkit_ingest.models import (
    HealthSample,
    ImportBatch,
    ImportChunk,
    ImportUpload,
    Membership,
    RejectedSample,
    SampleSeries,
    Source,
    Statistic,
    SyncState,
    Tally,
    Tombstone,
    Trace,
    database,
)
from django_healthkit_ingest.pipeline.files import delete_files
from django_healthkit_ingest.pipeline.store.locks import Scope, lock_user


def erase_user(*, user_id: Any) -> None:
    """Delete samples, tombstones, sources, batches, chunks and rejections of one user, in one transaction, and with
    its commit the uploaded files.

    Uploads go first: a step that cuts one holds its row until its chunks are committed, and finds it gone afterwards.
    A merge that is on its way waits for the lock, then finds its chunk gone and rolls back: no row of an erased user
    is left behind. Set-based, so no row is fetched.
    """
    using = database()
    mine = {"user_id": user_id}
    with transaction.atomic(using=using):
        lock_user(user_id, scope=Scope.SAMPLES, using=using)
        uploads = ImportUpload.objects.using(using).filter(batch__in=ImportBatch.objects.using(using).filter(**mine))
        names = list(uploads.exclude(name="").values_list("name", flat=True))
        uploads._raw_delete(using)
        chunks = ImportChunk.objects.using(using).filter(**mine)
        doomed: tuple[models.QuerySet[Any], ...] = (
            RejectedSample.objects.using(using).filter(chunk__in=chunks),
            chunks,
            ImportBatch.objects.using(using).filter(**mine),
            HealthSample.objects.using(using).filter(**mine),
            SampleSeries.objects.using(using).filter(**mine),
            Statistic.objects.using(using).filter(**mine),
            Tombstone.objects.using(using).filter(**mine),
            Trace.objects.using(using).filter(**mine),
            Tally.objects.using(using).filter(**mine),
            Membership.objects.using(using).filter(**mine),
            SyncState.objects.using(using).filter(**mine),
            Source.objects.using(using).filter(**mine),
        )
        for rows in doomed:
            rows._raw_delete(using)
        if names:
            transaction.on_commit(lambda: delete_files(names), using=using, robust=True)


def user_exists(*, user_id: Any) -> bool:
    """Asked where users are written, and of all of them: a lagging replica or a hiding manager must erase nobody."""
    users = get_user_model()
    return users._base_manager.using(router.db_for_write(users)).filter(pk=user_id).exists()


def erase_deleted_user(*, instance: models.Model, using: str, **kwargs: object) -> None:
    """Receiver of the user model's ``post_delete``: in the same transaction where both share a database, else after it.

    Rows that bypass Django's signals (raw SQL) bypass this too; the next chunk of such a user erases what is there.
    """
    user_id = instance.pk
    if using == database():
        erase_user(user_id=user_id)
    else:
        transaction.on_commit(lambda: erase_user(user_id=user_id), using=using)
