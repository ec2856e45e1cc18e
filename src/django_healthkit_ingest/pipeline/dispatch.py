"""The dispatcher: keep a bounded window of one user's chunks in flight, in the order they came."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.core.states import Pausable
from django_healthkit_ingest.models import ImportChunk, database
from django_healthkit_ingest.pipeline.store.locks import Scope, lock_user
from django_healthkit_ingest.pipeline.switches import unless_paused
from django_healthkit_ingest.queues import PROCESS_CHUNK, enqueue


def dispatch(*, user_id: Any, lane: str) -> int:
    """Send messages until ``DISPATCH_WINDOW`` chunks of this user and lane are in flight; answer how many went out.

    The window is per user and lane and not per batch, because a phone posts one backfill as many bodies. The rows say
    first that a message is sent, and then it is sent: a crash between the two looks like a lost message, which sweep
    finds; the other way round the window would leak. While processing is paused nothing goes out.
    """
    sent = 0
    for chunk_id in _reserve(user_id=user_id, lane=lane):
        if enqueue(PROCESS_CHUNK, user_id=user_id, lane=lane, chunk_id=chunk_id):
            sent += 1
        else:
            ImportChunk.objects.using(database()).filter(pk=chunk_id).mark_unsent()
    return sent


def _reserve(*, user_id: Any, lane: str) -> list[int]:
    using = database()
    window = get_settings().dispatch_window
    mine = ImportChunk.objects.using(using).filter(user_id=user_id, lane=lane)
    with transaction.atomic(using=using):
        lock_user(user_id, scope=Scope.DISPATCH, using=using)
        now = timezone.now()
        waiting = mine.waiting(now=now).filter(unless_paused(Pausable.PROCESSING))
        chosen = list(waiting.values_list("pk", flat=True)[:window])
        if chosen:  # mostly nothing waits, and nobody need know how many are in flight
            del chosen[max(window - mine.in_flight().count(), 0) :]
        if chosen:
            ImportChunk.objects.using(using).filter(pk__in=chosen).mark_sent(now=now)
    return chosen
