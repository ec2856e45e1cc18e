from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from django.db import models
from django.db.models import F, Q

if TYPE_CHECKING:
    from django_healthkit_ingest.models import ImportUpload  # noqa: F401


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

    def cancel(self, *, now: datetime, code: str) -> int:
        """No further step, whoever has one under way."""
        return self.unfinished().update(finished_at=now, lease_until=None, error_code=code, claim_no=F("claim_no") + 1)

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
