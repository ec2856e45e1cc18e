"""The chunk table is the outbox: send again what was lost, free what died, finish what nobody finished, purge.

Every step is a conditional UPDATE or takes the user's lock, so two sweeps at once do no more than one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.core.states import Pausable, Status
from django_healthkit_ingest.models import ImportBatch, ImportChunk, Tally, database
from django_healthkit_ingest.pipeline.backlog import oldest_age
from django_healthkit_ingest.pipeline.dispatch import dispatch
from django_healthkit_ingest.pipeline.finish import announce, finish
from django_healthkit_ingest.pipeline.measures import chunks_failed, sweep_done
from django_healthkit_ingest.pipeline.sweep_files import delete_old_files, resend_uploads
from django_healthkit_ingest.pipeline.sweep_orders import delete_old_exports, resend_erasures, resend_exports
from django_healthkit_ingest.pipeline.switches import paused

ANNOUNCE_AFTER = timedelta(minutes=1)
"""Younger finished batches are being announced by the worker that closed them."""

PURGED_AT_ONCE = 10_000
"""Payloads that one sweep purges; the next one goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one sweep did, in rows."""

    leases_expired: int
    messages_lost: int
    messages_sent: int
    batches_finished: int
    batches_announced: int
    payloads_purged: int
    uploads_sent: int
    erasures_sent: int
    exports_sent: int
    files_deleted: int
    exports_deleted: int


def sweep() -> Swept:
    """Repair what crashes, lost messages and a broker's absence left behind."""
    using = database()
    chunks = ImportChunk.objects.using(using)
    batches = ImportBatch.objects.using(using)
    options = get_settings()
    now = timezone.now()
    expired = chunks.all().release_dead(now=now, max_attempts=options.max_attempts)
    lost = chunks.all().release_lost(now=now, stale_after=options.stale_after)
    waiting = chunks.all().waiting(now=now).order_by("user_id", "lane").values_list("user_id", "lane").distinct()
    sent = sum(dispatch(user_id=user_id, lane=lane) for user_id, lane in waiting)
    finished = sum(finish(batch_id=batch_id) for batch_id in batches.all().closable().values_list("pk", flat=True))
    unannounced = batches.all().unannounced(finished_before=now - ANNOUNCE_AFTER)
    announced = list(unannounced.values_list("pk", flat=True))
    for batch_id in announced:
        announce(batch_id=batch_id)
    purged = 0
    if options.payload_retention is not None:
        purged = purge(finished_before=now - options.payload_retention)
    uploads = resend_uploads()
    erasures, exports = resend_erasures(), resend_exports()
    if expired:
        exhausted = chunks.filter(status=Status.FAILED, finished_at=now, error_code="attempts_exhausted").count()
        if exhausted:
            chunks_failed(number=exhausted)
    off = paused()
    sweep_done(
        repairs=expired + lost + finished + len(announced) + uploads + erasures + exports,
        oldest=oldest_age(),
        processing_paused=Pausable.PROCESSING in off,
        intake_paused=Pausable.INTAKE in off,
    )
    files = delete_old_files()  # last: a storage that is away raises here, and the rest is done
    old_exports = delete_old_exports()
    return Swept(
        leases_expired=expired,
        messages_lost=lost,
        messages_sent=sent,
        batches_finished=finished,
        batches_announced=len(announced),
        payloads_purged=purged,
        uploads_sent=uploads,
        erasures_sent=erasures,
        exports_sent=exports,
        files_deleted=files,
        exports_deleted=old_exports,
    )


def purge(*, finished_before: datetime) -> int:
    """Payloads, and with each its chunk's tally, which would only send others to read it. How many payloads."""
    using = database()
    with transaction.atomic(using=using):
        gone = ImportChunk.objects.using(using).purge_payloads(finished_before=finished_before, limit=PURGED_AT_ONCE)
        Tally.objects.using(using).filter(chunk__in=gone)._raw_delete(using)
    return len(gone)
