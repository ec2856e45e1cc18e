"""What happened to a person: the ground truth, in HealthKit's own terms and in no wire format.

The same seed gives the same history. The month contains the days on which America (8 March 2026) and Europe (29 March)
change their clocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from uuid import UUID

from example_project.demo.people import Person

FIRST_DAY = date(2026, 3, 5)
AWAKE = range(7, 23)
NIGHT = ((3, 50), (4, 40), (3, 55), (5, 25), (2, 4), (3, 70), (5, 30), (4, 20), (3, 45), (5, 35), (2, 7), (3, 40))
"""Stages of ``HKCategoryValueSleepAnalysis`` (2 awake, 3 core, 4 deep, 5 REM) and how many minutes they last."""
FLOW = (2, 3, 4, 3, 2)
"""A period in ``HKCategoryValueMenstrualFlow`` (2 light, 3 medium, 4 heavy), a day each."""

HEART_RATE = "HKQuantityTypeIdentifierHeartRate"
STEP_COUNT = "HKQuantityTypeIdentifierStepCount"
ACTIVE_ENERGY = "HKQuantityTypeIdentifierActiveEnergyBurned"
OXYGEN_SATURATION = "HKQuantityTypeIdentifierOxygenSaturation"
BODY_MASS = "HKQuantityTypeIdentifierBodyMass"
SLEEP = "HKCategoryTypeIdentifierSleepAnalysis"
MENSTRUAL_FLOW = "HKCategoryTypeIdentifierMenstrualFlow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One sample. ``value`` is in the canonical unit: count/min, count, kcal, a fraction, kg."""

    identifier: str
    uuid: UUID
    start: datetime
    end: datetime
    value: float | None = None
    category: int | None = None
    metadata: dict[str, object] = field(default_factory=dict)


def live(person: Person, *, days: int, seed: int) -> list[Event]:
    """Everything the person's watch, scale and calendar recorded, in the order it happened."""
    random = Random(f"{seed}/{person.name}")
    first = datetime.combine(FIRST_DAY, time(), tzinfo=person.zone).astimezone(UTC)
    until = datetime.combine(FIRST_DAY + timedelta(days=days), time(), tzinfo=person.zone).astimezone(UTC)
    events = [
        *heart(person, random, first, until),
        *movement(person, random, first, until),
        *nights(person, random, days),
        *mornings(person, random, days),
        *(cycle(person, random, days) if person.has_cycle else ()),
    ]
    return sorted(events, key=lambda event: (event.start, event.identifier))


def heart(person: Person, random: Random, moment: datetime, until: datetime) -> Iterator[Event]:
    while moment < until:
        is_awake = moment.astimezone(person.zone).hour in AWAKE
        rate = random.gauss(78, 11) if is_awake else random.gauss(54, 4)
        yield Event(
            identifier=HEART_RATE,
            uuid=new_uuid(random),
            start=moment,
            end=moment,
            value=float(max(38, round(rate))),
            metadata={"HKMetadataKeyHeartRateMotionContext": 2 if is_awake else 1},
        )
        moment += timedelta(seconds=random.randint(240, 360), milliseconds=random.randrange(1000))


def movement(person: Person, random: Random, moment: datetime, until: datetime) -> Iterator[Event]:
    while moment < until:
        end = moment + timedelta(seconds=random.randint(60, 540), milliseconds=random.randrange(1000))
        if moment.astimezone(person.zone).hour in AWAKE:
            steps = random.randint(12, 900)
            for identifier, value in ((STEP_COUNT, float(steps)), (ACTIVE_ENERGY, round(steps * 0.041, 3))):
                yield Event(identifier=identifier, uuid=new_uuid(random), start=moment, end=end, value=value)
        moment += timedelta(seconds=random.randint(700, 1100))


def nights(person: Person, random: Random, days: int) -> Iterator[Event]:
    for day in range(days):
        moment = local(person, day, time(22, random.randrange(20, 60)))
        for stage, minutes in NIGHT:
            end = moment + timedelta(minutes=minutes + random.randint(-3, 3), seconds=random.randrange(60))
            yield Event(identifier=SLEEP, uuid=new_uuid(random), start=moment, end=end, category=stage)
            moment = end
            if random.random() < 0.3:
                saturation = random.randint(93, 99) / 100
                yield Event(identifier=OXYGEN_SATURATION, uuid=new_uuid(random), start=end, end=end, value=saturation)


def mornings(person: Person, random: Random, days: int) -> Iterator[Event]:
    for day in range(0, days, 3):
        moment = local(person, day, time(7, random.randrange(60)))
        yield Event(
            identifier=BODY_MASS,
            uuid=new_uuid(random),
            start=moment,
            end=moment,
            value=round(random.gauss(71, 0.5), 1),
            metadata={"HKWasUserEntered": True},
        )


def cycle(person: Person, random: Random, days: int) -> Iterator[Event]:
    for day, flow in enumerate(FLOW[:days]):
        moment = local(person, day, time(12))
        yield Event(
            identifier=MENSTRUAL_FLOW,
            uuid=new_uuid(random),
            start=moment,
            end=moment,
            category=flow,
            metadata={"HKMenstrualCycleStart": day == 0},
        )


def local(person: Person, day: int, at: time) -> datetime:
    return datetime.combine(FIRST_DAY + timedelta(days=day), at, tzinfo=person.zone).astimezone(UTC)


def new_uuid(random: Random) -> UUID:
    return UUID(int=random.getrandbits(128), version=4)
