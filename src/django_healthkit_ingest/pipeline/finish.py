"""The one winner closes the batch, checks that its books balance, and announces it."""

from __future__ import annotations

from django.db import connections, transaction
from django.utils import timezone

from django_healthkit_ingest.core.states import EFFECTS, OUTCOMES, Status
from django_healthkit_ingest.models import ImportBatch, database
from django_healthkit_ingest.pipeline.anchors import release
from django_healthkit_ingest.pipeline.reconcile import reconcile, survey
from django_healthkit_ingest.pipeline.store.locks import Scope, lock_user, read_committed
from django_healthkit_ingest.pipeline.store.references import type_ids
from django_healthkit_ingest.signals import batch_finished

CHUNK_EFFECTS = tuple(name for name in EFFECTS if name != "rows_reconciled")
"""Summed over the chunks; windows are the batch's own, and a batch that is run again does not act on them again."""


def finish(*, batch_id: int) -> bool:
    """Close the batch if no chunk of it is left unfinished; True for the one caller that did.

    Runs in its own transaction, after the chunk's commit: inside it, two last chunks would each miss the other's
    commit at READ COMMITTED and nobody would close the batch. What a complete window does not hold goes with it, and
    anchors that are safe now are released.
    """
    using = database()
    batches = ImportBatch.objects.using(using).filter(pk=batch_id)
    batch = batches.closable().first()
    if batch is None:
        return False
    surveyed = survey(batch)
    type_ids(batch.anchors or (), using=using)
    nested = connections[using].in_atomic_block
    with transaction.atomic(using=using):
        if not nested:
            read_committed(using)
        if batch.device_id:  # the user's lock comes before any row: what follows touches other batches' and samples
            lock_user(batch.user_id, scope=Scope.SAMPLES, using=using)
        if not batches.elect_finisher(now=timezone.now()):
            return False
        chunks = batch.chunks.all()
        books = chunks.books()
        totals = {name: books[name] for name in (*OUTCOMES, *CHUNK_EFFECTS, "failed")}
        status = Status.FAILED if books["chunks_failed"] or batches.split_failed().exists() else Status.COMPLETED
        batches.close(status=status, totals={**totals, "unknown_types": chunks.unknown_types()})
        if status is Status.COMPLETED and surveyed is not None:
            reconcile(surveyed, batch=batch, using=using)
        release(batch=batch, using=using)
        transaction.on_commit(lambda: announce(batch_id=batch_id), using=using)
    return True


def announce(*, batch_id: int) -> None:
    """Send ``batch_finished``, then note it; a crash between the two makes sweep send it again."""
    batches = ImportBatch.objects.using(database()).filter(pk=batch_id)
    for batch in batches.filter(announced_at__isnull=True, finished_at__isnull=False):
        batch_finished.send_robust(sender=ImportBatch, batch=batch)
        # Replayed meanwhile, it will finish again, and that has to be announced too.
        batches.filter(finished_at=batch.finished_at).mark_announced(now=timezone.now())
