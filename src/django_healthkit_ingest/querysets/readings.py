from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar

from django.db import models
from django.db.models import F, Q

from django_healthkit_ingest.conf import canonical
from django_healthkit_ingest.core.identity import FIDELITY
from django_healthkit_ingest.querysets.owned import OwnedQuerySet

if TYPE_CHECKING:
    from django_healthkit_ingest.models import HealthSample, Source, Statistic, SyncState  # noqa: F401

_Row = TypeVar("_Row", bound=models.Model)


class SyncStateQuerySet(OwnedQuerySet["SyncState"]):
    def for_user(self, user: Any) -> Self:
        """Fetches the type along."""
        return super().for_user(user).select_related("type")

    def of_device(self, device_id: str) -> Self:
        return self.filter(device_id=device_id)


class SourceQuerySet(OwnedQuerySet["Source"]):
    def of_recorder(self, source: Source) -> Self:
        """The source itself and those of the same recorder, in every dialect and version."""
        same = Q(pk=source.pk)
        return self.filter(same if source.recorder is None else same | Q(recorder=source.recorder))


class _ReadingQuerySet(OwnedQuerySet[_Row]):
    """Rows that have a user, a type and a start."""

    def for_user(self, user: Any) -> Self:
        """Fetches type and source along, so that a list is one query."""
        return super().for_user(user).select_related("type", "source")

    def of_type(self, *identifiers: str) -> Self:
        """Only these types, by wire string or alias."""
        return self.filter(type__identifier__in=map(canonical, identifiers))

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
