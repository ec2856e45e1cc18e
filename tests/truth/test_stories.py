"""What happens to people's phones, told in bodies: each story says what must be in the table, and so does the law."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest

from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import HealthSample, database
from django_healthkit_ingest.testing import flutter_body, healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import category, flutter_point, quantity
from tests.truth.delivery import stored
from tests.truth.exports import BERLIN, apple_export
from tests.truth.oracle import Row, final_table, receive

pytestmark = pytest.mark.django_db(databases="__all__")

HEART_RATE = "HKQuantityTypeIdentifierHeartRate"
DISTANCE = "HKQuantityTypeIdentifierDistanceWalkingRunning"
WEIGHT = "HKQuantityTypeIdentifierBodyMass"
STEPS = "HKQuantityTypeIdentifierStepCount"
ENERGY = "HKQuantityTypeIdentifierDietaryEnergyConsumed"
SLEEP = "HKCategoryTypeIdentifierSleepAnalysis"
PRESSURE = "HKCorrelationTypeIdentifierBloodPressure"
CORE, DEEP, REM = 3, 4, 5
MORNING = datetime(2026, 1, 5, 7, 30, 12, 345_678, tzinfo=BERLIN)
AUCKLAND, HONOLULU = ZoneInfo("Pacific/Auckland"), ZoneInfo("Pacific/Honolulu")


class Body(NamedTuple):
    format: str
    text: bytes


def synced(*records: dict[str, Any], deletions: tuple[str, ...] = (), **envelope: Any) -> Body:
    return Body("healthkit", healthkit_body(*records, deletions=deletions, **envelope))


def exported(*records: dict[str, Any], zone: ZoneInfo = BERLIN) -> Body:
    return Body("apple_export", apple_export(*records, zone=zone))


def tell(user: Any, *bodies: Body) -> list[Row]:
    for body in bodies:
        batch = ingest(body.text, user=user, format=body.format)
        assert (batch.status, batch.rejected) == (Status.COMPLETED, 0)
    rows = stored(user)
    assert rows == final_table([receive(body.text, format=body.format) for body in bodies])
    return rows


def tell_in_any_order(user_factory: Callable[[], Any], *bodies: Body) -> list[Row]:
    """Each body comes first, each comes last, each comes before and after its neighbour."""
    turns = [(*bodies[turn:], *bodies[:turn]) for turn in range(len(bodies))]
    first, *others = (tell(user_factory(), *order) for turn in turns for order in (turn, turn[::-1]))
    assert all(table == first for table in others)
    return first


def measured(
    identifier: str, value: float | None, unit: str | None, *, at: datetime, minutes: float = 0, **fields: Any
) -> Any:
    end = at + timedelta(minutes=minutes)
    return quantity(identifier, value=value, unit=unit, start=at.isoformat(), end=end.isoformat(), **fields)


def slept(stage: int, *, at: datetime, minutes: float) -> Any:
    end = at + timedelta(minutes=minutes)
    return category(SLEEP, category=stage, start=at.isoformat(), end=end.isoformat())


def weighed(kilograms: float, **fields: Any) -> Any:
    return measured(WEIGHT, kilograms, "kg", at=MORNING, **fields)


def versioned(number: int) -> dict[str, Any]:
    return {"HKMetadataKeySyncIdentifier": "weighing-17", "HKMetadataKeySyncVersion": number}


def blood_pressure(*, at: datetime, systolic: float = 121, diastolic: float = 79) -> Any:
    members = [
        measured("HKQuantityTypeIdentifierBloodPressureSystolic", systolic, "mmHg", at=at),
        measured("HKQuantityTypeIdentifierBloodPressureDiastolic", diastolic, "mmHg", at=at),
    ]
    return measured(PRESSURE, None, None, at=at, objects=members)


def ate(calories: float, *, uuid: str | None) -> Any:
    """Food diaries stamp whole minutes."""
    return measured(ENERGY, calories, "kcal", at=MORNING.replace(second=0, microsecond=0), uuid=uuid)


def uuids(rows: list[Row]) -> set[str]:
    return {str(row.uuid) for row in rows}


def test_a_condensed_workout_is_not_run_twice(user_factory: Callable[[], Any]) -> None:
    """Months later HealthKit swaps a workout's many samples for one and deletes them; the export knew the many."""
    strides = [
        measured(DISTANCE, 14.25 + step, "m", at=MORNING + timedelta(seconds=5 * step), minutes=1 / 12)
        for step in range(12)
    ]
    whole = measured(DISTANCE, sum(stride["value"] for stride in strides), "m", at=MORNING, minutes=1)

    rows = tell_in_any_order(
        user_factory,
        synced(*strides),
        synced(whole, deletions=tuple(stride["uuid"] for stride in strides)),
        exported(*strides),
    )

    assert [(row.value, str(row.uuid)) for row in rows] == [(whole["value"], whole["uuid"])]


def test_an_edited_weight_has_one_value(user_factory: Callable[[], Any]) -> None:
    """Each export was made on its side of the edit, in pounds."""
    typo, right = weighed(71.2), weighed(70.2)

    rows = tell_in_any_order(
        user_factory,
        synced(typo),
        exported(typo),
        synced(right, deletions=(typo["uuid"],)),
        exported(right),
    )

    assert [(row.value, str(row.uuid)) for row in rows] == [(70.2, right["uuid"])]


def test_a_deleted_version_still_beats_the_one_before(user_factory: Callable[[], Any]) -> None:
    """A scale's app replaces its own sample and then takes it back; a slow phone brings the first version last."""
    first, second = weighed(71.2, metadata=versioned(1)), weighed(70.2, metadata=versioned(2))

    rows = tell_in_any_order(
        user_factory, synced(first), synced(second), synced(deletions=(second["uuid"],)), exported(first)
    )

    assert rows == []


def test_a_night_staged_anew_is_slept_once(user_factory: Callable[[], Any]) -> None:
    """The first hour is the same in both stagings, under another uuid."""
    night = MORNING - timedelta(hours=7)
    rough = [slept(CORE, at=night, minutes=60), slept(DEEP, at=night + timedelta(hours=1), minutes=60)]
    fine = [
        slept(CORE, at=night, minutes=60),
        slept(DEEP, at=night + timedelta(hours=1), minutes=40),
        slept(REM, at=night + timedelta(minutes=100), minutes=20),
    ]

    rows = tell_in_any_order(
        user_factory,
        synced(*rough),
        exported(*rough),
        synced(*fine, deletions=tuple(stage["uuid"] for stage in rough)),
    )

    assert uuids(rows) == {stage["uuid"] for stage in fine}
    assert sum(((row.end - row.start) for row in rows), timedelta()) == timedelta(hours=2)


def test_two_phones_share_one_health_database(user_factory: Callable[[], Any]) -> None:
    """iCloud gives both the same samples; the older one's client knows less, and hears of the deletion never."""
    kept, gone = measured(HEART_RATE, 61.25, "count/min", at=MORNING), weighed(70.2)
    old_clients = flutter_body(
        flutter_point(uuid=kept["uuid"].upper(), value=61.25, start=MORNING.replace(tzinfo=None)),
        flutter_point("WEIGHT", unit="KILOGRAM", uuid=gone["uuid"], value=70.2, start=MORNING.replace(tzinfo=None)),
    )

    rows = tell_in_any_order(
        user_factory,
        synced(kept, gone, device={"id": "new phone"}),
        synced(deletions=(gone["uuid"],), device={"id": "new phone"}),
        Body("flutter", old_clients),
    )

    assert [(str(row.uuid), row.start) for row in rows] == [(kept["uuid"], MORNING)], "the microseconds are kept"


def test_a_restored_backup_brings_nothing_back(user: Any) -> None:
    """The phone forgets its anchors, and what was deleted since the backup; it sends all it has, then goes on."""
    before = [measured(HEART_RATE, 60 + day, "count/min", at=MORNING + timedelta(days=day)) for day in range(20)]
    after = [measured(HEART_RATE, 90, "count/min", at=MORNING + timedelta(days=21))]
    tell(user, synced(*before[:10]), synced(*before[10:]), synced(deletions=(before[3]["uuid"],)))

    batch = ingest(healthkit_body(*before, *after), user=user)

    assert (batch.inserted, batch.duplicate, batch.buried) == (1, 19, 1)
    assert uuids(stored(user)) == {each["uuid"] for each in (*before, *after)} - {before[3]["uuid"]}


def year() -> list[Any]:
    weeks = [MORNING + timedelta(weeks=week) for week in range(52)]
    return [
        record
        for number, week in enumerate(weeks)
        for record in (
            measured(DISTANCE, 4321.98765 + number, "m", at=week, minutes=30),
            measured(WEIGHT, 70 + number / 7, "kg", at=week),
            slept(REM, at=week - timedelta(hours=5), minutes=25),
            blood_pressure(at=week + timedelta(hours=1)),
        )
    ]


@pytest.mark.parametrize("when", [0, 2, 4], ids=["first", "between", "on top"])
def test_an_export_and_a_year_of_syncs_are_one_year(user: Any, when: int) -> None:
    """In miles and pounds, to 6 digits and whole seconds; it also holds what was before the app."""
    records = year()
    earlier = measured(WEIGHT, 80.5, "kg", at=MORNING.replace(year=2019))
    quarter = len(records) // 4
    bodies = [synced(*records[place : place + quarter]) for place in range(0, len(records), quarter)]
    bodies.insert(when, exported(earlier, *records))

    rows = tell(user, *bodies)

    assert len(rows) == 52 * (4 + 2) + 1
    assert [row.start.year for row in rows if row.uuid is None] == [2019]


def test_the_next_export_adds_what_is_new(user: Any) -> None:
    records = year()
    tell(user, exported(*records[:100]))

    batch = ingest(exported(*records).text, user=user, format="apple_export")

    members = sum(2 for record in records if "objects" in record)
    copies = sum(2 for record in records[:100] if "objects" in record)
    assert (batch.received, batch.duplicate) == (len(records) + members, 100 + copies)
    assert len(stored(user)) == len(records) + members


def test_travel_across_the_date_line_keeps_every_step(user_factory: Callable[[], Any]) -> None:
    """She leaves on the tenth and lands on the ninth. The export prints all of it in the zone she is in now."""
    gate = datetime(2026, 3, 10, 7, 30, tzinfo=AUCKLAND)
    beach = datetime(2026, 3, 9, 18, 30, tzinfo=HONOLULU)
    walked = [
        measured(STEPS, 812, "count", at=gate, minutes=10, metadata={"HKTimeZone": "Pacific/Auckland"}),
        measured(STEPS, 640, "count", at=beach, minutes=10, metadata={"HKTimeZone": "Pacific/Honolulu"}),
    ]
    points = [
        flutter_point(
            "STEPS",
            uuid="",
            value=record["value"],
            unit="COUNT",
            start=start.astimezone(HONOLULU).replace(tzinfo=None),
            dateTo=(start + timedelta(minutes=10)).astimezone(HONOLULU).replace(tzinfo=None).isoformat(),
        )
        for record, start in zip(walked, (gate, beach), strict=True)
    ]

    rows = tell_in_any_order(
        user_factory,
        synced(*walked),
        exported(*walked, zone=HONOLULU),
        Body("flutter", flutter_body(*points, time_zone="Pacific/Honolulu")),
    )

    assert uuids(rows) == {record["uuid"] for record in walked}
    zones = HealthSample.objects.using(database()).filter(uuid__in=uuids(rows)).order_by("start", "user_id")
    assert {(sample.start, sample.time_zone) for sample in zones} == {
        (gate, "Pacific/Auckland"),
        (beach, "Pacific/Honolulu"),
    }


@pytest.mark.parametrize("chunk_size", [1, 1000])
def test_a_meal_logged_twice_was_eaten_twice(user: Any, settings: Any, chunk_size: int) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": chunk_size}
    nameless = synced(ate(250, uuid=None), ate(250, uuid=None))
    bananas = [ate(250, uuid=str(uuid4())) for _ in range(3)]

    assert [row.fp_seq for row in tell(user, nameless)] == [0, 1]
    assert [row.fp_seq for row in tell(user, nameless, nameless)] == [0, 1], "sent again"
    assert len(tell(user, nameless, exported(*bananas[:2]))) == 2, "exported"
    rows = tell(user, nameless, exported(*bananas[:2]), synced(bananas[0]))
    assert (len(rows), len(uuids(rows) - {"None"})) == (2, 1), "one has a uuid now"
    rows = tell(user, nameless, exported(*bananas[:2]), synced(bananas[0]), synced(*bananas))
    assert [row.uuid for row in rows] == sorted(UUID(banana["uuid"]) for banana in bananas), "and a third"
