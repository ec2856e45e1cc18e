"""Back-pressure: when the workers cannot keep up, phones keep their data for a while, and nothing drowns."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from django.utils import timezone

from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.core.states import Pausable
from django_healthkit_ingest.exceptions import BacklogFull, UserBacklogFull
from django_healthkit_ingest.models import ImportChunk, database
from django_healthkit_ingest.pipeline.statements import may_be_refused
from django_healthkit_ingest.pipeline.switches import is_paused

STUCK = 20
"""So many waiting chunks may be stuck, each for a reason of its own: a lost message, a record that kills workers. They
must not stop everybody else's intake, and fewer are no backlog."""

SHORTEST_BREAK = timedelta(seconds=60)
LONGEST_BREAK = timedelta(minutes=15)
"""However far behind the workers are, they may be caught up by then: one more that asks costs three short queries."""


def is_clear(*, user_id: Any, key: str | None) -> bool:
    """Whether a body of this user's may be taken, and is new by its key: nearly always, and known by one statement. If
    not, ``check_intake``, ``check_not_erasing``, ``check_backlog`` and the key's batch say what is in the way, if
    anything is.
    """
    limits = get_settings()
    late = None if limits.max_backlog_age is None else timezone.now() - limits.max_backlog_age
    max_pending = limits.max_pending_records_per_user
    return not may_be_refused(user_id=user_id, key=key, max_pending=max_pending, late=late, stuck=STUCK)


def backlog_age() -> timedelta:
    """How long the chunk has waited for a worker that has waited longest, but for ``STUCK`` others."""
    now = timezone.now()
    due = ImportChunk.objects.using(database()).all().due(now=now).values_list("due_at", flat=True)
    return max((now - since for since in due[STUCK : STUCK + 1] if since is not None), default=timedelta(0))


def check_backlog(*, user_id: Any) -> None:
    """Raises UserBacklogFull or BacklogFull, with a ``retry_after`` that grows with the backlog's age.

    While processing is paused the backlog's age says nothing, and intake goes on. The user's own limit holds even then.
    """
    limits = get_settings()
    age = backlog_age()
    if limits.max_pending_records_per_user is not None:
        mine = ImportChunk.objects.using(database()).filter(user_id=user_id)
        if mine.pending_records() >= limits.max_pending_records_per_user:
            raise UserBacklogFull(
                "Keep the data and send it when more of what was sent before is finished.", retry_after=_break(age)
            )
    if limits.max_backlog_age is not None and age > limits.max_backlog_age and not is_paused(Pausable.PROCESSING):
        raise BacklogFull("Keep the data and send the same bytes later.", retry_after=_break(age))


def _break(age: timedelta) -> int:
    """A quarter of the time the backlog has taken to grow, within bounds; jittered, lest all phones come at once."""
    wanted = min(max(age / 4, SHORTEST_BREAK), LONGEST_BREAK)
    return round(wanted.total_seconds() * random.uniform(1.0, 1.2))  # noqa: S311 - spreads retries, guards nothing
