"""What a user has ordered: consent, devices that may send, erasures and exports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar

from django.db import models
from django.db.models import Q

from django_healthkit_ingest.core.states import FINAL, UNFINISHED, Status
from django_healthkit_ingest.querysets.owned import OwnedQuerySet

if TYPE_CHECKING:
    from django_healthkit_ingest.models import Consent, DeviceToken, Erasure, Export  # noqa: F401

_Order = TypeVar("_Order", bound=models.Model)


class ConsentQuerySet(OwnedQuerySet["Consent"]):
    def withheld(self) -> Self:
        return self.filter(allowed=False)

    def decide(self, *, allowed: bool, now: datetime) -> int:
        """0 where it was so already, or nothing has been decided."""
        return self.filter(allowed=not allowed).update(allowed=allowed, changed_at=now)


class DeviceTokenQuerySet(OwnedQuerySet["DeviceToken"]):
    def valid(self) -> Self:
        return self.filter(revoked_at__isnull=True)

    def revoke(self, *, now: datetime) -> int:
        return self.valid().update(revoked_at=now)

    def mark_used(self, *, now: datetime, every: timedelta) -> int:
        """At most one write per ``every``: a token is used at each request."""
        return self.filter(Q(used_at__isnull=True) | Q(used_at__lt=now - every)).update(used_at=now)


class _OrderQuerySet(OwnedQuerySet[_Order]):
    """Work in the background, in steps: a message for each step, sweep for what was lost."""

    def unfinished(self) -> Self:
        return self.filter(status__in=UNFINISHED)

    def stranded(self, *, now: datetime, stale_after: timedelta) -> Self:
        """No message of theirs is on its way, as far as anybody knows."""
        return self.unfinished().filter(Q(sent_at__isnull=True) | Q(sent_at__lt=now - stale_after))

    def mark_sent(self, *, now: datetime) -> int:
        return self.unfinished().update(sent_at=now)

    def mark_unsent(self) -> int:
        return self.unfinished().update(sent_at=None)

    def complete(self, *, now: datetime, **columns: Any) -> int:
        return self.unfinished().update(status=Status.COMPLETED, finished_at=now, **columns)

    def finished(self) -> Self:
        return self.filter(status__in=FINAL)


class ErasureQuerySet(_OrderQuerySet["Erasure"]):
    def of_everything(self) -> Self:
        return self.filter(identifiers__isnull=True)

    def of_types(self, identifiers: Iterable[str]) -> Self:
        """Of exactly these."""
        return self.filter(identifiers=sorted(identifiers))

    def advance(self, *, position: Mapping[str, Any], counts: Mapping[str, int]) -> int:
        """The caller holds the user's lock, and has read both under it."""
        return self.unfinished().update(status=Status.PROCESSING, position=position, counts=counts)


class ExportQuerySet(_OrderQuerySet["Export"]):
    def hold(self, *, parts: int) -> int:
        """Keep the row till the transaction ends; 0 if it has ended, or another worker has written a part meanwhile."""
        return self.unfinished().filter(parts=parts).update(status=Status.PROCESSING)

    def note(self, *, position: Mapping[str, Any]) -> int:
        return self.unfinished().update(position=position)

    def append(self, *, parts: int, position: Mapping[str, Any], counts: Mapping[str, int], size: int) -> int:
        """One more part; 0 if another worker has written this one meanwhile."""
        mine = self.unfinished().filter(parts=parts)
        return mine.update(parts=parts + 1, position=position, counts=counts, size=size)

    def fail(self, *, now: datetime, code: str) -> int:
        """What has been written is of no use to anybody."""
        return self.unfinished().update(
            status=Status.FAILED, finished_at=now, expires_at=now, error_code=code, size=0, counts={}
        )

    def fetchable(self, *, now: datetime) -> Self:
        return self.filter(status=Status.COMPLETED, expires_at__gt=now)

    def with_files(self) -> Self:
        return self.exclude(position={})

    def expired(self, *, now: datetime) -> Self:
        """Finished exports whose files are still there and should not be."""
        return self.finished().filter(expires_at__lte=now).with_files()

    def forget_files(self) -> int:
        return self.finished().update(position={}, parts=0)
