"""The phone's side: what an app asks HealthKit, in a shape that a test can play."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

Record = Mapping[str, Any]
"""An element of the ``healthkit`` format; every date has an offset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The answer to one anchored query."""

    samples: Sequence[Record]
    deletions: Sequence[Record]
    anchor: str
    """Base64. Everything before it is in this answer or in one before."""


class HealthStore(Protocol):
    def types(self) -> Iterable[str]:
        """HealthKit identifiers of what the app has asked to read."""

    def changes(self, type: str, *, anchor: str | None, start: datetime | None, limit: int) -> Changes:
        """``HKAnchoredObjectQuery``: what came and went since ``anchor``, of samples that start at or after ``start``;
        about ``limit`` records, never 0, which HealthKit takes for none. The rest follows from the new anchor."""

    def samples(self, type: str, *, start: datetime, end: datetime) -> Sequence[Record]:
        """``HKSampleQuery``: all there is that starts in ``[start, end)``."""
