"""Every state change as one conditional UPDATE that answers how many rows it changed, and every reading.

Nobody reads a state, decides, and writes it back: between the read and the write another worker may have been.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from django.db import models
from django.db.models import Case, Count, Exists, F, OuterRef, Q, Sum, Value, When
from django.db.models.functions import Coalesce

from django_healthkit_ingest.conf import get_registry
from django_healthkit_ingest.core.states import OUTCOMES, UNFINISHED, Status

if TYPE_CHECKING:
    from django_healthkit_ingest.models import HealthSample, ImportBatch, ImportChunk  # noqa: F401


class ImportBatchQuerySet(models.QuerySet["ImportBatch"]):
    def for_user(self, user: Any) -> Self:
        """The only way an adapter reaches a batch."""
        return self.filter(user_id=user.pk)

    def open(self) -> Self:
        """Not finished; the second condition is the partial index's."""
        return self.filter(finished_at__isnull=True, announced_at__isnull=True)

    def begin(self) -> int:
        """PENDING to PROCESSING, when the first chunk is claimed."""
        return self.filter(status=Status.PENDING).update(status=Status.PROCESSING)

    def closable(self) -> Self:
        """Open, with no chunk left unfinished."""
        chunks = self.model._meta.get_field("chunks").related_model
        unfinished = chunks._default_manager.filter(batch=OuterRef("pk"), status__in=UNFINISHED)
        return self.open().filter(~Exists(unfinished))

    def elect_finisher(self, *, now: datetime) -> int:
        """1 for exactly one caller; the row stays locked until the caller commits."""
        return self.closable().update(finished_at=now)

    def close(self, *, status: Status, totals: Mapping[str, Any]) -> int:
        return self.update(status=status, **totals)

    def mark_announced(self, *, now: datetime) -> int:
        return self.filter(announced_at__isnull=True).update(announced_at=now)

    def unannounced(self, *, finished_before: datetime) -> Self:
        return self.filter(announced_at__isnull=True, finished_at__lt=finished_before)


class ImportChunkQuerySet(models.QuerySet["ImportChunk"]):
    def unfinished(self) -> Self:
        return self.filter(status__in=UNFINISHED)

    def in_flight(self) -> Self:
        return self.unfinished().filter(sent_at__isnull=False)

    def waiting(self, *, now: datetime) -> Self:
        """PENDING and unsent, in the order they are to be sent."""
        due = Q(not_before__isnull=True) | Q(not_before__lte=now)
        return self.filter(due, status=Status.PENDING, sent_at__isnull=True).order_by("batch_id", "index")

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
        return claimable._fail(now=now, code="attempts_exhausted")

    def complete(self, *, claim_no: int, now: datetime, books: Mapping[str, Any]) -> int:
        """0 when the claim is no longer the newest: the caller must roll its merge back."""
        return self.filter(status=Status.PROCESSING, claim_no=claim_no).update(
            status=Status.COMPLETED, finished_at=now, lease_until=None, error_code="", **books
        )

    def fail(self, *, claim_no: int, now: datetime, code: str) -> int:
        return self.filter(status=Status.PROCESSING, claim_no=claim_no)._fail(now=now, code=code)

    def _fail(self, *, now: datetime, code: str) -> int:
        return self.update(status=Status.FAILED, finished_at=now, lease_until=None, error_code=code)

    def postpone(self, *, claim_no: int, until: datetime) -> int:
        """Back to PENDING after a transient fault; it stays in flight, its next message is delayed."""
        return self.filter(status=Status.PROCESSING, claim_no=claim_no).update(
            status=Status.PENDING, not_before=until, lease_until=None
        )

    def mark_sent(self, *, now: datetime) -> int:
        return self.filter(status=Status.PENDING).update(sent_at=now, sent_count=F("sent_count") + 1, not_before=None)

    def mark_unsent(self) -> int:
        """The message did not get out, or is lost: the next dispatch sends another."""
        return self.filter(status=Status.PENDING).update(sent_at=None)

    def release_dead(self, *, now: datetime, max_attempts: int) -> int:
        """Leases that ran out go back to PENDING and unsent, or to FAILED when no attempt is left."""
        dead = self.filter(status=Status.PROCESSING, lease_until__lt=now)
        failed = dead.filter(attempts__gte=max_attempts)._fail(now=now, code="attempts_exhausted")
        return failed + dead.update(status=Status.PENDING, sent_at=None, lease_until=None)

    def release_lost(self, *, now: datetime, stale_after: timedelta) -> int:
        """Messages sent too long ago count as lost; the patience doubles at each re-send, so that a long queue is
        never flooded by its own sweeper."""
        patience = Case(
            *(When(sent_count__lte=sent, then=Value(now - stale_after * 2 ** (sent - 1))) for sent in range(1, 8)),
            default=Value(now - stale_after * 2**7),
        )
        return self.filter(status=Status.PENDING, sent_at__lt=patience).update(sent_at=None)

    def purge_payloads(self, *, finished_before: datetime, limit: int) -> int:
        """At most ``limit`` payloads of finished batches, so that no purge is one long transaction."""
        old = self.filter(payload__isnull=False, finished_at__lt=finished_before, batch__finished_at__isnull=False)
        return self.filter(pk__in=list(old.values_list("pk", flat=True)[:limit])).update(payload=None)

    def books(self) -> dict[str, int]:
        """One aggregate: chunks per status, records per outcome, records of failed and of unfinished chunks."""
        answer: dict[str, int] = self.aggregate(
            chunks=Count("pk"),
            **{f"chunks_{status.lower()}": Count("pk", filter=Q(status=status)) for status in Status},
            **{name: Coalesce(Sum(name, filter=Q(status=Status.COMPLETED)), 0) for name in (*OUTCOMES, "rows_removed")},
            failed=Coalesce(Sum("received", filter=Q(status=Status.FAILED)), 0),
            pending=Coalesce(Sum("received", filter=Q(status__in=UNFINISHED)), 0),
        )
        return answer

    def unknown_types(self) -> dict[str, int]:
        total: dict[str, int] = {}
        counted = self.filter(status=Status.COMPLETED).exclude(unknown_types={})
        for counts in counted.values_list("unknown_types", flat=True):
            for identifier, number in counts.items():
                total[identifier] = total.get(identifier, 0) + number
        return total


class HealthSampleQuerySet(models.QuerySet["HealthSample"]):
    def for_user(self, user: Any) -> Self:
        """The only way an adapter reaches samples; fetches type and source along, so that a list is one query."""
        return self.filter(user_id=user.pk).select_related("type", "source")

    def of_type(self, *identifiers: str) -> Self:
        """Only these types, by wire string or alias."""
        return self.filter(type__identifier__in=_canonical(identifiers))

    def between(self, start: datetime | None, end: datetime | None) -> Self:
        """Samples that start in ``[start, end)``; None leaves a side open."""
        wanted = Q()
        if start is not None:
            wanted &= Q(start__gte=start)
        if end is not None:
            wanted &= Q(start__lt=end)
        return self.filter(wanted)


def _canonical(identifiers: Iterable[str]) -> list[str]:
    registry = get_registry()
    return [known.identifier if (known := registry.get(identifier)) else identifier for identifier in identifiers]
