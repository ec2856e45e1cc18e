"""The chunk table is the outbox: send again what was lost, free what died, finish what nobody finished, purge.

Every step is a conditional UPDATE or takes the user's lock, so two sweeps at once do no more than one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.models import ImportBatch, ImportChunk, database
from django_healthkit_ingest.pipeline.dispatch import dispatch
from django_healthkit_ingest.pipeline.finish import announce, finish

ANNOUNCE_AFTER = timedelta(minutes=1)
"""Younger finished batches are being announced by the worker that closed them."""

PURGED_AT_ONCE = 10_000
"""Payloads one sweep purges; the next one goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one sweep did, in rows."""

    leases_expired: int
    messages_lost: int
    messages_sent: int
    batches_finished: int
    batches_announced: int
    payloads_purged: int


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
        purged = chunks.all().purge_payloads(finished_before=now - options.payload_retention, limit=PURGED_AT_ONCE)
    return Swept(
        leases_expired=expired,
        messages_lost=lost,
        messages_sent=sent,
        batches_finished=finished,
        batches_announced=len(announced),
        payloads_purged=purged,
    )
