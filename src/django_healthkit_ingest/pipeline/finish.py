"""The one winner closes the batch, checks that its books balance, and announces it."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from django_healthkit_ingest.core.states import OUTCOMES, Status
from django_healthkit_ingest.models import ImportBatch, database
from django_healthkit_ingest.signals import batch_finished


def finish(*, batch_id: int) -> bool:
    """Close the batch if no chunk of it is left unfinished; True for the one caller that did.

    Runs in its own transaction, after the chunk's commit: inside it, two last chunks would each miss the other's
    commit at READ COMMITTED and nobody would close the batch.
    """
    using = database()
    batches = ImportBatch.objects.using(using).filter(pk=batch_id)
    with transaction.atomic(using=using):
        if not batches.elect_finisher(now=timezone.now()):
            return False
        chunks = batches.get().chunks.all()
        books = chunks.books()
        totals = {name: books[name] for name in (*OUTCOMES, "rows_removed", "failed")}
        status = Status.FAILED if books["chunks_failed"] else Status.COMPLETED
        batches.close(status=status, totals={**totals, "unknown_types": chunks.unknown_types()})
        transaction.on_commit(lambda: announce(batch_id=batch_id), using=using)
    return True


def announce(*, batch_id: int) -> None:
    """Send ``batch_finished``, then note it; a crash between the two makes sweep send it again."""
    batches = ImportBatch.objects.using(database()).filter(pk=batch_id)
    for batch in batches.filter(announced_at__isnull=True):
        batch_finished.send_robust(sender=ImportBatch, batch=batch)
        batches.mark_announced(now=timezone.now())
