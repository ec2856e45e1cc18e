"""Random histories: few uuids, few seconds and few values, so that everything happens to everything.

One uuid keeps its type and its sync identity, as HealthKit's do, but may look otherwise in each record: formats round,
apps edit. Only the healthkit format knows deletions, correlations and sync identifiers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from django_healthkit_ingest.testing import flutter_body, healthkit_body
from django_healthkit_ingest.testing.payloads import flutter_point
from tests.truth.oracle import Received, receive

BERLIN = ZoneInfo("Europe/Berlin")
FIRST = datetime(2026, 1, 5, 8, tzinfo=BERLIN)
MOMENTS = (FIRST, FIRST + timedelta(milliseconds=250), FIRST + timedelta(milliseconds=1900))
"""The first two are one second to a format without fractions."""
BUNDLE_ID = "com.example.scale"
SOURCES = ("Ada's Watch", "Ada's Phone")
NOTES: Sequence[Mapping[str, Any]] = ({}, {"HKWasUserEntered": True}, {"Note": "second thoughts"})


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Kind:
    identifier: str
    flutter_type: str
    flutter_unit: str
    unit: str = ""
    values: tuple[float, ...] = ()
    """Equal within the tolerance, or clearly apart."""
    categories: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return self.flutter_type


HEART_RATE = Kind(
    identifier="HKQuantityTypeIdentifierHeartRate",
    flutter_type="HEART_RATE",
    flutter_unit="BEATS_PER_MINUTE",
    unit="count/min",
    values=(61, 61.0008, 74),
)
WEIGHT = Kind(
    identifier="HKQuantityTypeIdentifierBodyMass",
    flutter_type="WEIGHT",
    flutter_unit="KILOGRAM",
    unit="kg",
    values=(63.5, 63.5029, 0),
)
SLEEP = Kind(
    identifier="HKCategoryTypeIdentifierSleepAnalysis",
    flutter_type="SLEEP_DEEP",
    flutter_unit="MINUTE",
    categories=(4,),
)
NOVELTY = Kind(
    identifier="HKQuantityTypeIdentifierNotYetInvented",
    flutter_type="HKQuantityTypeIdentifierNotYetInvented",
    flutter_unit="count",
    unit="count",
    values=(1,),
)
MEAL = "HKCorrelationTypeIdentifierFood"

SAMPLES = (HEART_RATE, HEART_RATE, HEART_RATE, HEART_RATE, WEIGHT, SLEEP, NOVELTY)
"""The kind of each sample's uuid."""
SYNC = {1: ("a", 1), 2: ("a", 2), 3: ("a", 2), 10: ("meal", 1), 11: ("meal", 2)}
"""Sync identifier and version by number of the uuid; 2 and 3 are told apart by their uuids alone."""
MEALS = (10, 11, 12)


@dataclass(frozen=True, slots=True)
class Look:
    """One record, before it is written in a dialect; ``number`` is the uuid's, None without."""

    kind: Kind
    number: int | None
    moment: int = 0
    shade: int = 0
    source: int = 0
    note: int = 0
    minutes: int = 0


@dataclass(frozen=True, slots=True)
class Meal:
    number: int | None
    members: tuple[Look, ...]
    note: int = 0


@dataclass(frozen=True, slots=True)
class Sync:
    """One request: what becomes one batch."""

    format: str
    records: tuple[Look | Meal, ...]
    deleted: tuple[int, ...] = ()

    def body(self, *, order: Sequence[int] | None = None) -> bytes:
        """``order`` changes the records' places, nothing else."""
        records = [self.records[place] for place in order or range(len(self.records))]
        if self.format == "flutter":
            return flutter_body(*(_point(record) for record in records if isinstance(record, Look)))
        return healthkit_body(*map(_record, records), deletions=map(uuid_of, self.deleted))


History = tuple[Sync, ...]


def uuid_of(number: int) -> UUID:
    """Alike in all but a digit of each end, so that no order of the numbers is an order of the bytes by accident."""
    return UUID(int=((7 * number + 3) % 16) << 120 | 0x4000_8000 << 64 | number)


def received(history: History) -> list[Received]:
    return [receive(sync.body(), format=sync.format) for sync in history]


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """What one history plays with: so little that its records meet."""

    numbers: tuple[int, ...]
    moments: tuple[int, ...]
    shades: tuple[int, ...]
    notes: tuple[int, ...]

    def looks(self, *, kinds: Sequence[Kind]) -> st.SearchStrategy[Look]:
        """Of a uuid as often as without one."""
        named = [number for number in self.numbers if number < len(SAMPLES) and SAMPLES[number] in kinds]
        details = {
            "moment": st.sampled_from(self.moments),
            "shade": st.sampled_from(self.shades),
            "source": st.sampled_from(range(len(SOURCES))),
            "note": st.sampled_from(self.notes),
            "minutes": st.sampled_from((0, 0, 0, 5)),
        }
        of_uuids = [st.builds(Look, st.just(SAMPLES[number]), st.just(number), **details) for number in named]
        return st.one_of(*of_uuids, st.builds(Look, st.sampled_from(kinds), st.none(), **details))

    def meals(self) -> st.SearchStrategy[Meal]:
        kinds = [kind for kind in self.kinds() if kind is not NOVELTY]  # a correlation holds known types only
        members = st.lists(self.looks(kinds=kinds), min_size=1, max_size=3).map(tuple) if kinds else st.just(())
        return st.builds(Meal, st.sampled_from((*self.meal_numbers(), None)), members, st.sampled_from(self.notes))

    def meal_numbers(self) -> list[int]:
        return [number for number in self.numbers if number in MEALS]

    def kinds(self) -> list[Kind]:
        return sorted({SAMPLES[number] for number in self.numbers if number < len(SAMPLES)}, key=repr)

    def syncs(self) -> st.SearchStrategy[Sync]:
        looks = self.looks(kinds=self.kinds())
        rich = st.builds(
            Sync,
            st.just("healthkit"),
            st.lists(looks | looks | self.meals(), min_size=2, max_size=5).map(tuple),
            st.sets(st.sampled_from((*self.numbers, *self.meal_numbers())), max_size=1).map(tuple),
        )
        poor = st.builds(Sync, st.just("flutter"), st.lists(looks, min_size=2, max_size=4).map(tuple))
        return rich | rich | poor


NUMBERS = ((1, 2), (2, 3), (0, 12), (10, 11, 0), (0, 1, 3, 12), (4, 10), (5, 0), (6, 0))


def histories(*, numbers: Sequence[tuple[int, ...]] = NUMBERS) -> st.SearchStrategy[History]:
    """``numbers``: one of these sets of uuids is what the history is about."""
    themes = st.builds(
        Theme,
        numbers=st.sampled_from(numbers),
        moments=st.sampled_from(((0,), (0, 1), (0, 1, 2))),
        shades=st.sampled_from(((0, 1), (0, 1, 2))),
        notes=st.sampled_from(((0,), (0, 1, 2))),
    )
    return themes.flatmap(_about)


def _about(theme: Theme) -> st.SearchStrategy[History]:
    """Deletions mostly name what was there, so one often comes by itself."""
    deletion = st.sampled_from(theme.numbers).map(lambda number: (Sync("healthkit", (), (number,)),))
    syncs = st.lists(theme.syncs(), min_size=1, max_size=4).map(tuple)
    return st.builds(lambda some, last: (*some, *last), syncs, deletion | deletion | st.just(()))


def _record(record: Look | Meal) -> dict[str, Any]:
    if isinstance(record, Look):
        return _sample(record)
    moment = FIRST.isoformat()
    return {
        **_identity(record.number, note=record.note, source=0),
        "type": MEAL,
        "start": moment,
        "end": moment,
        "objects": [_sample(member) for member in record.members],
    }


def _sample(look: Look) -> dict[str, Any]:
    kind, start = look.kind, MOMENTS[look.moment]
    end = start + timedelta(minutes=look.minutes)
    measured = (
        {"value": kind.values[look.shade % len(kind.values)], "unit": kind.unit}
        if kind.values
        else {"category": kind.categories[look.shade % len(kind.categories)]}
    )
    return {
        **_identity(look.number, note=look.note, source=look.source),
        "type": kind.identifier,
        "start": start.isoformat(),
        "end": end.isoformat(),
        **measured,
    }


def _identity(number: int | None, *, note: int, source: int) -> dict[str, Any]:
    identifier, version = SYNC.get(number, (None, None)) if number is not None else (None, None)
    sync = {"HKMetadataKeySyncIdentifier": identifier, "HKMetadataKeySyncVersion": version} if identifier else {}
    metadata = {**NOTES[note], **sync}
    return {
        **({"uuid": str(uuid_of(number))} if number is not None else {}),
        **({"metadata": metadata} if metadata else {}),
        "source": {"name": SOURCES[source], "bundle_id": BUNDLE_ID},
    }


def _point(look: Look) -> dict[str, Any]:
    start = MOMENTS[look.moment].replace(tzinfo=None)
    end = start + timedelta(minutes=look.minutes)
    return flutter_point(
        look.kind.flutter_type,
        uuid=str(uuid_of(look.number)).upper() if look.number is not None else "",
        value=look.kind.values[look.shade % len(look.kind.values)] if look.kind.values else look.minutes,
        unit=look.kind.flutter_unit,
        start=start,
        dateTo=end.isoformat(timespec="milliseconds"),
        sourceName=SOURCES[look.source],
        sourceId=BUNDLE_ID,
        metadata=dict(NOTES[look.note]) or None,
    )
