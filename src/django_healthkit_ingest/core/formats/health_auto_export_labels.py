"""Health Auto Export's names for what HealthKit has: ``catalogue/health_auto_export.json``."""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from django_healthkit_ingest.core.catalogue import load

_NO_WORD = re.compile(r"[^a-z0-9]+")


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One number of a metric's point."""

    member: str
    aggregation: str = ""
    """Empty: a sum of a cumulative type, an average of all others."""
    type: str = ""
    says: str = ""
    """What the member's name says besides the number, in the words of the metric's ``label``."""
    start: str = ""
    source: str = ""
    """Members of the point that hold this reading's own start and source."""


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    type: str = ""
    readings: tuple[Reading, ...] = ()
    label: str = ""
    """The member that tells this point from others of its period; it is kept in the details of the statistic."""
    unit: str | None = None
    """What the numbers are in, whatever the metric says."""
    units: dict[str, str] = {}
    """Spellings of units, besides the ones of all metrics."""
    whole: bool = False
    """The point is also kept as it is, for it says more than its numbers."""


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What the elements of one array are."""

    type: str = ""
    """HealthKit's type, of which the record is kept whole."""
    uuid: bool = False
    own_type: str = ""
    """Of a category whose name or value is in no table."""
    names: str = ""
    named_by: str = ""
    valued_by: tuple[str, ...] = ()
    implied: tuple[str, ...] = ()
    """Members that say nothing new."""


class Quantity(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    unit: str


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    own_types: str
    """The prefix of identifiers of what HealthKit has no name for, or none that is known."""
    percent: float
    """What Health Auto Export writes for HealthKit's 1."""
    units: dict[str, str]
    counted_in: tuple[str, ...]
    """Units in which a duration is none but a number of events."""
    readings: tuple[Reading, ...]
    """Of every metric that names none."""
    metrics: dict[str, str | Metric]
    kinds: dict[str, Kind]
    names: dict[str, dict[str, str]]
    values: dict[str, dict[str, int]]
    metadata: dict[str, str]
    quantities: dict[str, Quantity]
    activity_prefixes: tuple[str, ...]
    activities: dict[str, int]


@lru_cache(maxsize=1)
def labels() -> Labels:
    return msgspec.convert(load("health_auto_export.json"), Labels)


@lru_cache(maxsize=1024)
def find_metric(name: str) -> Metric | None:
    """By the name in snake case, which older versions write with signs: ``weight_&_body_mass``."""
    known = labels().metrics
    found = known.get(name) or known.get(_NO_WORD.sub("_", name.lower()).strip("_"))
    return Metric(type=found) if isinstance(found, str) else found


def folded(name: str) -> str:
    """Letters and digits only, as the tables' keys: "Not Present", ``not_present`` and ``NotPresent`` are one."""
    return "".join(character for character in name.casefold() if character.isalnum())
