from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from django.db import models
from django.db.models import Case, Count, F, Q, Sum, Value, When
from django.db.models.functions import Coalesce, Greatest

from django_healthkit_ingest.core.states import EFFECTS, FINAL, OUTCOMES, UNFINISHED, Status

if TYPE_CHECKING:
    from django_healthkit_ingest.models import ImportChunk  # noqa: F401

ATTEMPTS_EXHAUSTED = "attempts_exhausted"
CANCELLED = "cancelled"


class ImportChunkQuerySet(models.QuerySet["ImportChunk"]):
    def unfinished(self) -> Self:
        return self.filter(status__in=UNFINISHED)

    def in_flight(self) -> Self:
        return self.unfinished().filter(sent_at__isnull=False)

    def waiting(self, *, now: datetime) -> Self:
        """PENDING and unsent, in the order they are to be sent."""
        due = Q(not_before__isnull=True) | Q(not_before__lte=now)
        return self.filter(due, status=Status.PENDING, sent_at__isnull=True).order_by("batch_id", "index")

    def due(self, *, now: datetime) -> Self:
        """PENDING and waiting for a worker, the longest first; the conditions are the partial index's."""
        return self.filter(status=Status.PENDING, due_at__isnull=False, due_at__lte=now).order_by("due_at")

    def pending_records(self) -> int:
        """Received and not yet in the tables."""
        answer: int = self.unfinished().aggregate(records=Coalesce(Sum("received"), 0))["records"]
        return answer

    def _claimable(self, *, task_id: str, now: datetime) -> Self:
        """A redelivered message keeps its task id, so the same task may take over from its own dead worker at once."""
        mine_or_dead = Q(claimed_by=task_id) | Q(lease_until__lt=now)
        return self.filter(Q(status=Status.PENDING) | (Q(status=Status.PROCESSING) & mine_or_dead))

    def claim(self, *, task_id: str, now: datetime, lease: timedelta, max_attempts: int) -> int:
        return (
            self._claimable(task_id=task_id, now=now)
            .filter(attempts__lt=max_attempts)
            .update(
                status=Status.PROCESSING,
                claimed_by=task_id,
                claimed_at=now,
                lease_until=now + lease,
                claim_no=F("claim_no") + 1,
                attempts=F("attempts") + 1,
            )
        )

    def give_up(self, *, task_id: str, now: datetime, max_attempts: int) -> int:
        """FAILED, for a chunk that could be claimed but has used up its attempts."""
        claimable = self._claimable(task_id=task_id, now=now).filter(attempts__gte=max_attempts)
        return claimable._fail(now=now, code=ATTEMPTS_EXHAUSTED)

    def complete(self, *, claim_no: int, now: datetime, books: Mapping[str, Any]) -> int:
        """0 when the claim is no longer the newest: the caller must roll its merge back."""
        return self.filter(status=Status.PROCESSING, claim_no=claim_no).update(
            status=Status.COMPLETED, finished_at=now, lease_until=None, error_code="", **books
        )

    def fail(self, *, claim_no: int, now: datetime, code: str) -> int:
        return self.filter(status=Status.PROCESSING, claim_no=claim_no)._fail(now=now, code=code)

    def _fail(self, *, now: datetime, code: str) -> int:
        return self.update(status=Status.FAILED, finished_at=now, lease_until=None, error_code=code)

    def cancel(self, *, now: datetime) -> int:
        """FAILED, unless they have ended: the fence keeps out a worker that has one of them."""
        mine = self.unfinished()
        return mine.update(
            status=Status.FAILED, finished_at=now, lease_until=None, error_code=CANCELLED, claim_no=F("claim_no") + 1
        )

    def postpone(self, *, claim_no: int, until: datetime) -> int:
        """Back to PENDING after a transient fault; it stays in flight, its next message is delayed."""
        return self.filter(status=Status.PROCESSING, claim_no=claim_no).update(
            status=Status.PENDING, not_before=until, due_at=until, lease_until=None
        )

    def put_back(self, *, task_id: str, now: datetime) -> int:
        """PENDING and unsent, without an attempt: its message came while processing is paused and is used up."""
        return self._claimable(task_id=task_id, now=now).update(
            status=Status.PENDING, sent_at=None, sent_count=0, lease_until=None
        )

    def take_back(self, *, now: datetime) -> int:
        """From a worker that has read what it must not keep: PENDING and unsent, without an attempt. The fence goes up,
        so nothing of its run is kept."""
        return self.filter(status=Status.PROCESSING).update(
            status=Status.PENDING,
            claim_no=F("claim_no") + 1,
            attempts=Greatest(F("attempts") - 1, 0),
            sent_at=None,
            sent_count=0,
            lease_until=None,
            due_at=now,
        )

    def mark_sent(self, *, now: datetime) -> int:
        return self.filter(status=Status.PENDING).update(
            sent_at=now, sent_count=F("sent_count") + 1, not_before=None, due_at=Coalesce("due_at", Value(now))
        )

    def mark_due(self, *, now: datetime) -> int:
        """It waits for a worker from now on."""
        return self.filter(status=Status.PENDING, due_at__isnull=True).update(due_at=now)

    def restart_waiting(self, *, now: datetime) -> int:
        """After a pause: the time till now says nothing about how fast the workers are."""
        return self.filter(status=Status.PENDING, due_at__isnull=False, due_at__lt=now).update(due_at=now)

    def mark_unsent(self) -> int:
        """The message did not get out, or is lost: the next dispatch sends another."""
        return self.filter(status=Status.PENDING).update(sent_at=None)

    def release_dead(self, *, now: datetime, max_attempts: int) -> int:
        """Leases that ran out go back to PENDING and unsent, or to FAILED when no attempt is left."""
        dead = self.filter(status=Status.PROCESSING, lease_until__lt=now)
        failed = dead.filter(attempts__gte=max_attempts)._fail(now=now, code=ATTEMPTS_EXHAUSTED)
        return failed + dead.update(status=Status.PENDING, sent_at=None, lease_until=None, due_at=now)

    def release_lost(self, *, now: datetime, stale_after: timedelta) -> int:
        """Messages sent too long ago count as lost; the patience doubles at each re-send, so that a long queue is
        never flooded by its own sweeper."""
        patience = Case(
            *(When(sent_count__lte=sent, then=Value(now - stale_after * 2 ** (sent - 1))) for sent in range(1, 8)),
            default=Value(now - stale_after * 2**7),
        )
        return self.filter(status=Status.PENDING, sent_at__lt=patience).update(sent_at=None)

    def reopen(self) -> int:
        """Ended chunks that still have their payload, back to PENDING and unsent, all attempts before them.

        ``claim_no`` stays: a worker of the last run must not complete this one. The books stay till they are replaced.
        """
        return self.filter(status__in=FINAL, payload__isnull=False).update(
            status=Status.PENDING,
            attempts=0,
            claimed_by="",
            claimed_at=None,
            lease_until=None,
            sent_at=None,
            sent_count=0,
            not_before=None,
            due_at=None,
            finished_at=None,
            error_code="",
        )

    def restart(self, *, now: datetime) -> int:
        """Unfinished chunks that no worker has, back to PENDING and unsent, all attempts before them."""
        idle = Q(status=Status.PENDING) | Q(status=Status.PROCESSING, lease_until__lt=now)
        return self.filter(idle).update(
            status=Status.PENDING,
            attempts=0,
            claimed_by="",
            claimed_at=None,
            lease_until=None,
            sent_at=None,
            sent_count=0,
            not_before=None,
            due_at=None,
        )

    def given_up(self) -> Self:
        """Those that never ended, however often they were tried."""
        return self.filter(status=Status.FAILED, error_code=ATTEMPTS_EXHAUSTED)

    def put_aside(self, indexes: Iterable[int], *, claim_no: int) -> int:
        """Records that a FAILED chunk's next run leaves out; 0 if the chunk has been run since they were found."""
        return self.filter(status=Status.FAILED, claim_no=claim_no).update(set_aside=sorted(indexes))

    def include_set_aside(self) -> int:
        return self.filter(status__in=FINAL).update(set_aside=None)

    def purge_payloads(self, *, finished_before: datetime, limit: int) -> list[int]:
        """Keys of chunks, at most ``limit`` so that no purge is one long transaction, whose payload is gone now."""
        old = self.filter(payload__isnull=False, finished_at__lt=finished_before, batch__finished_at__isnull=False)
        chosen = list(old.values_list("pk", flat=True)[:limit])
        chunks = self.filter(pk__in=chosen)
        chunks.filter(finished_at__lt=finished_before).update(payload=None)  # not if replayed since
        return list(chunks.filter(payload__isnull=True).values_list("pk", flat=True))

    def books(self) -> dict[str, int]:
        """Chunks per status, records per outcome, records of failed and of unfinished chunks."""
        return _books(self.order_by().values("status").annotate(**_SUMS))

    def books_by_batch(self) -> dict[int, dict[str, int]]:
        """The same for each batch; one without chunks is left out."""
        rows: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
        for row in self.order_by().values("batch_id", "status").annotate(**_SUMS):
            rows[row["batch_id"]].append(row)
        return {batch_id: _books(by_status) for batch_id, by_status in rows.items()}

    def unknown_types(self) -> dict[str, int]:
        total: Counter[str] = Counter()
        for counts in self.unknown_types_by_batch().values():
            total.update(counts)
        return dict(total)

    def unknown_types_by_batch(self) -> dict[int, dict[str, int]]:
        total: dict[int, Counter[str]] = defaultdict(Counter)
        counted = self.filter(status=Status.COMPLETED).exclude(unknown_types={})
        for batch_id, counts in counted.values_list("batch_id", "unknown_types"):
            total[batch_id].update(counts)
        return {batch_id: dict(counts) for batch_id, counts in total.items()}


_OF_COMPLETED = (*OUTCOMES, *EFFECTS)
_SUMS: dict[str, Any] = {"chunks": Count("pk"), **{name: Sum(name) for name in ("received", *_OF_COMPLETED)}}
"""Of the chunks of one status: in all of them at once, what is counted only in some would cost Django more to say than
PostgreSQL to do."""


def _books(by_status: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    rows = {row["status"]: row for row in by_status}

    def total(name: str, *statuses: Status) -> int:
        return sum(rows[status][name] or 0 for status in statuses if status in rows)

    return {
        "chunks": total("chunks", *Status),
        **{f"chunks_{status.lower()}": total("chunks", status) for status in Status},
        **{name: total(name, Status.COMPLETED) for name in _OF_COMPLETED},
        "failed": total("received", Status.FAILED),
        "pending": total("received", *UNFINISHED),
    }


NO_BOOKS = _books(())
"""Of a batch without chunks."""
