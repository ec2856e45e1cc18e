"""When a batch will be done, if things go on as they went lately."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Count
from django.utils import timezone

from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import ImportBatch, ImportChunk, database
from django_healthkit_ingest.pipeline.statements import pace

LATELY = timedelta(hours=1)
CHUNKS = 20
"""So many of the last chunks tell how long one takes from its message to its commit, the queue's wait included."""


def estimate_finishes(batches: Sequence[ImportBatch]) -> dict[int, datetime]:
    """By the batch's key, of those that are completely cut; empty if no chunk was completed lately. Two queries.

    A user's chunks go in the order they came, ``DISPATCH_WINDOW`` of a lane at once.
    """
    waiting = [batch for batch in batches if batch.split_done]
    if not waiting:
        return {}
    turnaround = _turnaround()
    if turnaround is None:
        return {}
    ahead = _ahead(waiting)
    return {batch.pk: _finish(turnaround, ahead=ahead[batch.pk]) for batch in waiting}


def estimate_finish(batch: ImportBatch) -> datetime | None:
    """The same of one batch that is completely cut, in one statement: every body's answer has it."""
    turnaround, ahead = pace(batch, since=timezone.now() - LATELY, chunks=CHUNKS)
    return None if turnaround is None else _finish(turnaround, ahead=ahead)


def _finish(turnaround: timedelta, *, ahead: int) -> datetime:
    return timezone.now() + turnaround * math.ceil(ahead / get_settings().dispatch_window)


def _turnaround() -> timedelta | None:
    completed = ImportChunk.objects.using(database()).filter(
        status=Status.COMPLETED,
        payload__isnull=False,
        due_at__isnull=False,
        finished_at__gte=timezone.now() - LATELY,
    )
    spans = list(completed.order_by("-finished_at").values_list("due_at", "finished_at")[:CHUNKS])
    if not spans:
        return None
    known = [finished - due for due, finished in spans if due is not None and finished is not None]
    return sum(known, timedelta(0)) / len(known)


def _ahead(batches: Sequence[ImportBatch]) -> dict[int, int]:
    """Unfinished chunks of the batch and of those before it in its user's lane."""
    users = {batch.user_id for batch in batches}
    unfinished = ImportChunk.objects.using(database()).filter(user_id__in=users).unfinished().order_by()
    counted = list(unfinished.values_list("user_id", "lane", "batch_id").annotate(Count("pk")))
    return {
        batch.pk: sum(
            number
            for user_id, lane, batch_id, number in counted
            if (user_id, lane) == (batch.user_id, batch.lane) and batch_id <= batch.pk
        )
        for batch in batches
    }
