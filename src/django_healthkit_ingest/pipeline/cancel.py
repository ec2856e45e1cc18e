"""A client takes an import back: what is stored stays, the rest is not tried any more."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import connections, transaction
from django.utils import timezone

from django_healthkit_ingest.core.states import FINAL
from django_healthkit_ingest.models import ImportBatch, ImportChunk, ImportUpload, database
from django_healthkit_ingest.pipeline.finish import finish
from django_healthkit_ingest.pipeline.imports import find_import, get_import
from django_healthkit_ingest.pipeline.split import delete_file
from django_healthkit_ingest.pipeline.status import BatchStatus
from django_healthkit_ingest.pipeline.store.locks import Scope, lock_user, read_committed
from django_healthkit_ingest.querysets.chunks import CANCELLED


def cancel(*, user: Any, import_id: UUID) -> BatchStatus:
    """Every chunk that has not ended becomes FAILED, ``cancelled``; a finished import stays as it is.

    Anchors wait for a cancelled import as for any that FAILED: retry it, and it goes on. Raises NotFound.
    """
    batch = find_import(user=user, import_id=import_id)
    if batch.status not in FINAL:
        _cancel(batch)
        finish(batch_id=batch.pk)
        for upload_id in ImportUpload.objects.using(database()).filter(batch=batch).values_list("pk", flat=True):
            delete_file(upload_id=upload_id)
    return get_import(user=user, import_id=import_id)


def _cancel(batch: ImportBatch) -> None:
    """Under the user's lock, so that a merge on its way is over or finds that its claim is lost; the file first, whose
    steps add chunks."""
    using = database()
    now = timezone.now()
    nested = connections[using].in_atomic_block
    with transaction.atomic(using=using):
        if not nested:
            read_committed(using)
        lock_user(batch.user_id, scope=Scope.SAMPLES, using=using)
        ImportUpload.objects.using(using).filter(batch=batch).cancel(now=now, code=CANCELLED)
        ImportBatch.objects.using(using).filter(pk=batch.pk).end_split()
        ImportChunk.objects.using(using).filter(batch=batch).cancel(now=now)
