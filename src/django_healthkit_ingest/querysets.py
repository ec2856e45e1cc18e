"""Every state change as one conditional UPDATE that answers how many rows it changed, and every reading.

Nobody reads a state, decides, and writes it back: between the read and the write another worker may have been.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar

from django.db import models
from django.db.models import Case, Count, Exists, F, OuterRef, Q, Sum, Value, When
from django.db.models.functions import Coalesce

from django_healthkit_ingest.conf import get_registry
from django_healthkit_ingest.core.identity import FIDELITY
from django_healthkit_ingest.core.states import EFFECTS, FINAL, OUTCOMES, UNFINISHED, Status

if TYPE_CHECKING:
    from django_healthkit_ingest.models import (  # noqa: F401
        HealthSample,
        ImportBatch,
        ImportChunk,
        ImportUpload,
        Statistic,
        SyncState,
    )


ATTEMPTS_EXHAUSTED = "attempts_exhausted"

_Row = TypeVar("_Row", bound=models.Model)


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
        """Open, completely cut into chunks, with no chunk left unfinished."""
        chunks = self.model._meta.get_field("chunks").related_model
        unfinished = chunks._default_manager.filter(batch=OuterRef("pk"), status__in=UNFINISHED)
        return self.open().filter(~Exists(unfinished), split_done=True)

    def grow(self, *, received: int, chunks: int) -> int:
        """More chunks of a file; the caller holds the fence of the batch's upload."""
        return self.filter(split_done=False).update(
            received=F("received") + received, chunk_count=F("chunk_count") + chunks
        )

    def split_failed(self) -> Self:
        """Their file could not be read to its end; what was read is stored."""
        return self.filter(upload__isnull=False).exclude(upload__error_code="")

    def end_split(self) -> int:
        """No chunk will be added: from now on the batch can be closed."""
        return self.filter(split_done=False).update(split_done=True)

    def elect_finisher(self, *, now: datetime) -> int:
        """1 for exactly one caller; the row stays locked until the caller commits."""
        return self.closable().update(finished_at=now)

    def close(self, *, status: Status, totals: Mapping[str, Any]) -> int:
        return self.update(status=status, **totals)

    def mark_announced(self, *, now: datetime) -> int:
        return self.filter(announced_at__isnull=True, finished_at__isnull=False).update(announced_at=now)

    def reopen(self) -> int:
        """Finished batches back to PROCESSING, to be finished and announced again; their totals are then replaced."""
        finished = self.filter(finished_at__isnull=False)
        return finished.update(status=Status.PROCESSING, finished_at=None, announced_at=None)

    def unannounced(self, *, finished_before: datetime) -> Self:
        return self.filter(announced_at__isnull=True, finished_at__lt=finished_before)

    def settled(self) -> Self:
        """All of it is in the tables, or somebody has said that it need not be."""
        return self.filter(Q(status=Status.COMPLETED) | Q(failure_accepted_at__isnull=False))

    def unsettled(self) -> Self:
        """Open, or FAILED and nobody has accepted that."""
        return self.exclude(status=Status.COMPLETED).filter(failure_accepted_at__isnull=True)

    def with_anchors(self) -> Self:
        return self.filter(anchors__isnull=False)

    def without_anchors(self) -> Self:
        return self.filter(anchors__isnull=True)

    def with_anchors_to_release(self) -> Self:
        return self.filter(anchors__isnull=False, anchors_released_at__isnull=True)

    def mark_anchors_released(self, *, now: datetime) -> int:
        """They are in the sync state now, or newer ones are: the batch need not keep them, and holds back nobody."""
        return self.filter(anchors_released_at__isnull=True).update(anchors_released_at=now, anchors={})

    def accept_failure(self, *, now: datetime) -> int:
        return self.filter(status=Status.FAILED, failure_accepted_at__isnull=True).update(failure_accepted_at=now)

    def mark_reconciled(self, *, now: datetime) -> int:
        """A batch's windows are acted upon once, whatever becomes of it later."""
        return self.filter(reconciled_at__isnull=True).update(reconciled_at=now)

    def warn(self, *warnings: str) -> int:
        return self.update(warnings=list(warnings))

    def note_reconciled(self, *, rows: int) -> int:
        return self.update(rows_reconciled=rows)


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

    def purge_payloads(self, *, finished_before: datetime, limit: int) -> int:
        """At most ``limit`` payloads of finished batches, so that no purge is one long transaction."""
        old = self.filter(payload__isnull=False, finished_at__lt=finished_before, batch__finished_at__isnull=False)
        chosen = list(old.values_list("pk", flat=True)[:limit])
        return self.filter(pk__in=chosen, finished_at__lt=finished_before).update(payload=None)  # not if replayed since

    def books(self) -> dict[str, int]:
        """One aggregate: chunks per status, records per outcome, records of failed and of unfinished chunks."""
        answer: dict[str, int] = self.aggregate(
            chunks=Count("pk"),
            **{f"chunks_{status.lower()}": Count("pk", filter=Q(status=status)) for status in Status},
            **{name: Coalesce(Sum(name, filter=Q(status=Status.COMPLETED)), 0) for name in (*OUTCOMES, *EFFECTS)},
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


class ImportUploadQuerySet(models.QuerySet["ImportUpload"]):
    """Files that are cut into chunks; claimed, fenced and given up as chunks are."""

    def unfinished(self) -> Self:
        return self.filter(finished_at__isnull=True)

    def _claimable(self, *, task_id: str, now: datetime) -> Self:
        free = Q(lease_until__isnull=True) | Q(claimed_by=task_id) | Q(lease_until__lt=now)
        return self.unfinished().filter(free)

    def claim(self, *, task_id: str, now: datetime, lease: timedelta, max_attempts: int) -> int:
        return (
            self._claimable(task_id=task_id, now=now)
            .filter(attempts__lt=max_attempts)
            .update(
                claimed_by=task_id,
                lease_until=now + lease,
                claim_no=F("claim_no") + 1,
                attempts=F("attempts") + 1,
            )
        )

    def exhausted(self, *, task_id: str, now: datetime, max_attempts: int) -> Self:
        """Those that could be claimed but have used up their attempts."""
        return self._claimable(task_id=task_id, now=now).filter(attempts__gte=max_attempts)

    def advance(self, *, claim_no: int, position: Mapping[str, Any], lease_until: datetime) -> int:
        """0 when the claim is no longer the newest: the caller must roll its chunks back."""
        return (
            self.unfinished().filter(claim_no=claim_no).update(position=position, attempts=0, lease_until=lease_until)
        )

    def pause(self, *, claim_no: int, now: datetime) -> int:
        """Anybody may go on: the next message is being sent."""
        return self.unfinished().filter(claim_no=claim_no).mark_sent(now=now)

    def end(self, *, claim_no: int, now: datetime, code: str = "") -> int:
        """Done, or given up with a code."""
        return self.unfinished().filter(claim_no=claim_no).update(finished_at=now, lease_until=None, error_code=code)

    def mark_sent(self, *, now: datetime) -> int:
        return self.update(sent_at=now, lease_until=None, claimed_by="")

    def put_back(self, *, task_id: str, now: datetime) -> int:
        """Unsent, without an attempt: its message came while processing is paused."""
        return self._claimable(task_id=task_id, now=now).update(sent_at=None, lease_until=None, claimed_by="")

    def mark_unsent(self) -> int:
        return self.unfinished().filter(lease_until__isnull=True).update(sent_at=None)

    def restart(self, *, now: datetime) -> int:
        """Unfinished uploads that no worker has, all attempts before them; their message is being sent."""
        free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
        return self.unfinished().filter(free).update(sent_at=now, lease_until=None, claimed_by="", attempts=0)

    def stranded(self, *, now: datetime, stale_after: timedelta) -> Self:
        """No message is on its way and no worker alive."""
        silent = Q(sent_at__isnull=True) | Q(sent_at__lt=now - stale_after)
        return self.unfinished().filter(Q(lease_until__lt=now) | Q(silent, lease_until__isnull=True))

    def undeleted(self) -> Self:
        """No step is left, but the file is still there."""
        return self.filter(finished_at__isnull=False).exclude(name="")


class SyncStateQuerySet(models.QuerySet["SyncState"]):
    def for_user(self, user: Any) -> Self:
        """The only way an adapter reaches anchors; fetches the type along."""
        return self.filter(user_id=user.pk).select_related("type")

    def of_device(self, device_id: str) -> Self:
        return self.filter(device_id=device_id)


class _ReadingQuerySet(models.QuerySet[_Row]):
    """Rows that have a user, a type and a start."""

    def for_user(self, user: Any) -> Self:
        """The only way an adapter reaches them; fetches type and source along, so that a list is one query."""
        return self.filter(user_id=user.pk).select_related("type", "source")

    def of_type(self, *identifiers: str) -> Self:
        """Only these types, by wire string or alias."""
        return self.filter(type__identifier__in=_canonical(identifiers))

    def between(self, start: datetime | None, end: datetime | None) -> Self:
        """Those that start in ``[start, end)``; None leaves a side open."""
        wanted = Q()
        if start is not None:
            wanted &= Q(start__gte=start)
        if end is not None:
            wanted &= Q(start__lt=end)
        return self.filter(wanted)

    def yield_to_any_reading(self) -> int:
        """Of the rank only the format's fidelity is kept, so that the next reading in as good a format wins."""
        return self.update(rank=F("rank").bitand(FIDELITY))


class HealthSampleQuerySet(_ReadingQuerySet["HealthSample"]):
    """Of samples."""


class StatisticQuerySet(_ReadingQuerySet["Statistic"]):
    def aggregation(self, *names: str) -> Self:
        """``sum``, ``average``, ``minimum``, ...: a period may have one of each."""
        return self.filter(aggregation__in=names)


def _canonical(identifiers: Iterable[str]) -> list[str]:
    registry = get_registry()
    return [known.identifier if (known := registry.get(identifier)) else identifier for identifier in identifiers]
