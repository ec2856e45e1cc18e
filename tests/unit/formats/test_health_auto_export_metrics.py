from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from django_healthkit_ingest.core.formats.health_auto_export_labels import Metric, labels
from django_healthkit_ingest.core.registry import SampleKind, shipped_registry
from django_healthkit_ingest.core.samples import Source, Statistic, Statistics, ZoneBasis
from django_healthkit_ingest.core.units import parse_unit
from tests.unit.formats.health_auto_export_examples import (
    EIGHT,
    NINE,
    WIRE,
    metric,
    parse,
    rejected,
    statistic,
    statistics,
)

QUANTITY = "HKQuantityTypeIdentifier"
CATEGORY = "HKCategoryTypeIdentifier"
SLEEP = f"{CATEGORY}SleepAnalysis"
NIGHT = {
    "date": "2026-01-05",
    "totalSleep": 7.5,
    "asleep": 0,
    "core": 4,
    "deep": 1.5,
    "rem": 2,
    "awake": 0.25,
    "inBed": 8,
    "sleepStart": "2026-01-04 23:10:00 +0100",
    "sleepEnd": "2026-01-05 06:55:00 +0100",
    "inBedStart": "2026-01-04 23:00:00 +0100",
    "inBedEnd": "2026-01-05 07:00:00 +0100",
    "source": "Watch|iPhone",
}


def night(**members: Any) -> tuple[Statistic, ...]:
    point = {name: member for name, member in (NIGHT | members).items() if member is not ...}
    (outcome,) = parse(metric("sleep_analysis", "hr", point))
    assert isinstance(outcome, Statistics), outcome
    return outcome.values


def said(value: Statistic) -> object:
    return json.loads(value.details or "null")


def test_a_point() -> None:
    result = statistic("step_count", "count", {"qty": 812.5, "source": "Watch"})

    assert (result.identifier, result.aggregation, result.known) == (f"{QUANTITY}StepCount", "sum", True)
    assert (result.value, result.unit, result.preference, result.details) == (812.5, "", 812.5, None)
    assert (result.start, result.end) == (datetime(2026, 1, 5, 7, tzinfo=UTC), None)
    assert (result.time_zone, result.zone_basis) == ("+01:00", ZoneBasis.OFFSET)
    assert result.source == Source(name="Watch")
    assert result.rank >> 57 == WIRE.fidelity


@pytest.mark.parametrize(
    ("name", "units", "qty", "identifier", "aggregation", "value"),
    [
        ("active_energy", "kJ", 4184, "ActiveEnergyBurned", "sum", 1000.0),
        ("active_energy", "kcal", 12.5, "ActiveEnergyBurned", "sum", 12.5),
        ("walking_running_distance", "mi", 1, "DistanceWalkingRunning", "sum", 1609.344),
        ("walking_running_distance", "km", 2.5, "DistanceWalkingRunning", "sum", 2500.0),
        ("body_temperature", "degF", 98.6, "BodyTemperature", "average", 37.0),
        ("resting_heart_rate", "count/min", 52, "RestingHeartRate", "average", 52.0),
        ("resting_heart_rate", "bpm", 52, "RestingHeartRate", "average", 52.0),
        ("blood_oxygen_saturation", "%", 97, "OxygenSaturation", "average", 0.97),
        ("body_fat_percentage", "%", 0.5, "BodyFatPercentage", "average", 0.005),
        ("walking_asymmetry_percentage", "%", 0, "WalkingAsymmetryPercentage", "average", 0.0),
        ("blood_glucose", "mg/dL", 90, "BloodGlucose", "average", 90.0),
        ("blood_glucose", "mmol<180.1558800000541>/L", 5, "BloodGlucose", "average", 90.07794),
        ("blood_glucose", "mmol/L", 5, "BloodGlucose", "average", 90.07794),
        ("weight_body_mass", "lb", 154, "BodyMass", "average", 69.853225),
        ("weight_body_mass", "lbs", 154, "BodyMass", "average", 69.853225),
        ("weight_body_mass", "st", 11, "BodyMass", "average", 69.853225),
        ("weight_&_body_mass", "kg", 70, "BodyMass", "average", 70.0),
        ("vo2_max", "mL/min·kg", 42.5, "VO2Max", "average", 42.5),
        ("vo2_max", "ml/(kg·min)", 42.5, "VO2Max", "average", 42.5),
        ("physical_effort", "kcal/hr·kg", 1.5, "PhysicalEffort", "average", 1.5),
        ("walking_speed", "km/hr", 3.6, "WalkingSpeed", "average", 1.0),
        ("walking_speed", "km/h", 3.6, "WalkingSpeed", "average", 1.0),
        ("stair_speed_up", "ft/s", 10, "StairAscentSpeed", "average", 3.048),
        ("dietary_water", "fl_oz_us", 1, "DietaryWater", "sum", 29.5735295625),
        ("vitamin_b12", "mcg", 3, "DietaryVitaminB12", "sum", 3e-6),
        ("environmental_audio_exposure", "dBASPL", 61, "EnvironmentalAudioExposure", "average", 61.0),
        ("heart_rate", "bpm", 61, "HeartRate", "average", 61.0),
    ],
)
def test_names_units_and_aggregations(
    name: str, units: str, qty: float, identifier: str, aggregation: str, value: float
) -> None:
    result = statistic(name, units, {"qty": qty})

    assert (result.identifier, result.aggregation) == (f"{QUANTITY}{identifier}", aggregation)
    assert result.value == pytest.approx(value)


@pytest.mark.parametrize("names", [("Min", "Avg", "Max"), ("min", "avg", "max")])
def test_lowest_mean_and_highest_are_one_record(names: tuple[str, str, str]) -> None:
    results = statistics("heart_rate", "bpm", dict(zip(names, (52, 61.5, 80), strict=True)))

    found = {result.aggregation: result.value for result in results}
    assert found == {"minimum": 52.0, "average": 61.5, "maximum": 80.0}
    assert {result.identifier for result in results} == {f"{QUANTITY}HeartRate"}


@pytest.mark.parametrize("point", [{"Avg": 61, "Min": None}, {"qty": 61, "Avg": 61, "avg": 61}])
def test_a_mean_alone(point: dict[str, Any]) -> None:
    result = statistic("heart_rate", "bpm", point)

    assert (result.aggregation, result.value) == ("average", 61.0)


def test_blood_pressure_is_two_types() -> None:
    results = statistics("blood_pressure", "mmHg", {"systolic": 121, "diastolic": 79})

    assert [(result.identifier, result.value) for result in results] == [
        (f"{QUANTITY}BloodPressureSystolic", 121.0),
        (f"{QUANTITY}BloodPressureDiastolic", 79.0),
    ]


@pytest.mark.parametrize(
    ("name", "units", "members", "expected"),
    [
        ("blood_glucose", "mg/dL", {"mealTime": "Before Meal"}, ("average", 30.0, "")),
        ("insulin_delivery", "IU", {"reason": "Basal"}, ("sum", 30.0, "")),
        ("handwashing", "s", {"value": "Complete"}, ("duration", 30.0, "s")),
        ("toothbrushing", "min", {"value": "Incomplete"}, ("duration", 1800.0, "s")),
        ("toothbrushing", "count", {"value": "Complete"}, ("count", 30.0, "count")),
        ("mindful_minutes", "min", {}, ("duration", 1800.0, "s")),
        ("apple_stand_hour", "hr", {}, ("count", 30.0, "count")),
    ],
)
def test_what_a_point_says_besides_its_number(
    name: str, units: str, members: dict[str, str], expected: tuple[str, float, str]
) -> None:
    result = statistic(name, units, {"qty": 30, **members})

    assert (result.aggregation, result.value, result.unit) == expected
    assert result.bucket == "".join(members.values())


@pytest.mark.parametrize(("name", "label"), [("blood_glucose", "mealTime"), ("insulin_delivery", "reason")])
def test_points_that_say_different_things_do_not_replace_each_other(name: str, label: str) -> None:
    units = {"blood_glucose": "mg/dL"}.get(name, "IU")

    keys = {statistic(name, units, {"qty": 5, label: text}).key for text in ("One", "Other", None)}

    assert len(keys) == 3


def test_sexual_activity_has_spaces_in_its_names() -> None:
    results = statistics("sexual_activity", None, {"Unspecified": 0, "Protection Used": 1, "Protection Not Used": 2})

    assert {result.identifier for result in results} == {f"{CATEGORY}SexualActivity"}
    assert [(result.bucket, result.aggregation, result.value) for result in results] == [
        ("Unspecified", "count", 0.0),
        ("Protection Used", "count", 1.0),
        ("Protection Not Used", "count", 2.0),
    ]
    assert len({result.key for result in results}) == 3


def test_a_night() -> None:
    *stages, whole = night()

    assert {(result.identifier, result.aggregation, result.unit) for result in stages} == {(SLEEP, "duration", "s")}
    assert [(result.bucket, result.value) for result in stages] == [
        ("Asleep", 27000.0),
        ("AsleepUnspecified", 0.0),
        ("AsleepCore", 14400.0),
        ("AsleepDeep", 5400.0),
        ("AsleepREM", 7200.0),
        ("Awake", 900.0),
        ("InBed", 28800.0),
    ]
    assert (whole.identifier, whole.aggregation, said(whole)) == (SLEEP, "whole", NIGHT)
    assert {result.source for result in (*stages, whole)} == {Source(name="Watch|iPhone")}


def test_the_stages_are_healthkits() -> None:
    stages = {reading.says for reading in sleep().readings}
    registered = shipped_registry().get(SLEEP)

    assert registered is not None
    assert stages == {*registered.category_values.values(), "Asleep"}


def sleep() -> Metric:
    found = labels().metrics["sleep_analysis"]
    assert isinstance(found, Metric)
    return found


@pytest.mark.parametrize(
    ("members", "start"),
    [
        ({}, "2026-01-05T00:00:00+01:00"),
        ({"date": "2026-01-05 00:00:00 +0100"}, "2026-01-05T00:00:00+01:00"),
        ({"date": "2026-01-05 07:03:00 +0100"}, "2026-01-04T23:10:00+01:00"),
        ({"date": "2026-01-05 07:03:00 +0100", "sleepStart": None}, "2026-01-04T23:00:00+01:00"),
        ({"sleepStart": ..., "inBedStart": ..., "inBedEnd": ...}, "2026-01-05T00:00:00+01:00"),
        ({"date": "2026-01-05 11:10:00\u202fPM -0700", "sleepStart": ..., "inBedStart": ..., "sleepEnd": ...,
          "inBedEnd": ...}, "2026-01-05T23:10:00-07:00"),
    ],
)  # fmt: skip
def test_when_a_night_begins(members: dict[str, Any], start: str) -> None:
    assert night(**members)[0].start == datetime.fromisoformat(start)


def test_a_night_that_is_still_syncing_is_replaced() -> None:
    early = night(totalSleep=3, core=2, deep=0.5, rem=0.5, inBed=None, sleepStart="2026-01-05 01:00:00 +0100")
    late = {result.key: result for result in night()}

    assert all(late[result.key].preference >= result.preference for result in early)
    assert late[early[-1].key].preference > early[-1].preference


def test_a_night_of_an_older_version() -> None:
    point = {"date": "2026-01-05 07:03:36 +0800", "asleep": 6.5, "sleepStart": "2026-01-05 00:21:06 +0800",
             "sleepEnd": "2026-01-05 06:57:06 +0800", "sleepSource": "Watch", "inBed": 6.8,
             "inBedStart": "2026-01-05 00:12:50 +0800", "inBedSource": "iPhone"}  # fmt: skip

    asleep, in_bed, whole = statistics("sleep_analysis", "hr", point)

    assert (asleep.source, in_bed.source, whole.source) == (Source(name="Watch"), Source(name="iPhone"), None)
    assert (asleep.start, in_bed.start) == (
        datetime.fromisoformat("2026-01-05T00:21:06+08:00"),
        datetime.fromisoformat("2026-01-05T00:12:50+08:00"),
    )


def test_an_unknown_metric_is_kept_whole() -> None:
    point = {"date": EIGHT, "qty": 7, "phase": "full", "source": "Sky"}

    result = statistic("moon_phase", "deg", point)

    assert (result.identifier, result.known, result.aggregation) == ("HealthAutoExport.moon_phase", False, "whole")
    assert (result.value, result.unit, result.source) == (7.0, "deg", Source(name="Sky"))
    assert said(result) == point


@pytest.mark.parametrize("qty", [None, "full", {"min": 1}])
def test_an_unknown_metric_need_not_have_a_number(qty: object) -> None:
    result = statistic("moon_phase", None, {"qty": qty})

    assert (result.value, result.unit) == (None, "")


def test_a_point_with_both_dates_has_an_end() -> None:
    (outcome,) = parse(metric("step_count", "count", {"startDate": EIGHT, "endDate": NINE, "qty": 3}))

    assert isinstance(outcome, Statistics)
    assert outcome.values[0].end == datetime(2026, 1, 5, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("Watch", Source(name="Watch")),
        ("", None),
        (None, None),
        ("iPhone| Watch|iPhone", Source(name="Watch|iPhone")),
        ("Watch|iPhone", Source(name="Watch|iPhone")),
        ({"name": "Watch", "bundleIdentifier": "com.example"}, Source(name="Watch", bundle_id="com.example")),
        (f"{'a' * 200}|{'b' * 200}|c", Source(name=f"{'a' * 200}|c")),
    ],
)
def test_sources(sent: object, stored: Source | None) -> None:
    assert statistic("step_count", "count", {"qty": 3, "source": sent}).source == stored


@pytest.mark.parametrize(
    ("name", "units", "point", "fault"),
    [
        ("step_count", "count", {}, ("qty", "missing_field")),
        ("step_count", "count", {"qty": None}, ("qty", "missing_field")),
        ("step_count", "count", {"qty": "12"}, ("qty", "wrong_type")),
        ("step_count", "count", {"qty": True}, ("qty", "wrong_type")),
        ("step_count", "count", {"qty": 10**400}, ("qty", "number_out_of_range")),
        ("step_count", None, {"qty": 1}, ("units", "missing_unit")),
        ("step_count", "furlong", {"qty": 1}, ("units", "unit_unknown")),
        ("step_count", "kg", {"qty": 1}, ("units", "unit_mismatch")),
        ("walking_running_distance", "km", {"qty": 1e308}, ("qty", "number_out_of_range")),
        ("heart_rate", "bpm", {"Min": 1, "Avg": "x", "Max": 2}, ("Avg", "wrong_type")),
        ("heart_rate", "bpm", {"source": "W"}, ("qty", "missing_field")),
        ("blood_pressure", "mmHg", {"systolic": "x", "diastolic": 2}, ("systolic", "wrong_type")),
        ("blood_pressure", "mmHg", {}, ("systolic", "missing_field")),
        ("blood_glucose", "mg/dL", {"qty": 1, "mealTime": 3}, ("mealTime", "wrong_type")),
        ("blood_glucose", "mg/dL", {"qty": 1, "mealTime": "x" * 300}, ("mealTime", "too_long")),
        ("blood_glucose", "mg/dL", {"qty": 1, "mealTime": "\0"}, ("mealTime", "nul_character")),
        ("sleep_analysis", "hr", {"date": "2026-01-05", "sleepEnd": NINE}, ("totalSleep", "missing_field")),
        ("sleep_analysis", "kg", {"core": 1}, ("units", "unit_mismatch")),
        ("step_count", "count", {"qty": 1, "date": None}, ("date", "missing_field")),
        ("step_count", "count", {"qty": 1, "date": 1767596400}, ("date", "wrong_type")),
        ("step_count", "count", {"qty": 1, "date": "yesterday"}, ("date", "invalid_date")),
        ("step_count", "count", {"qty": 1, "date": "2026-02-30 08:00:00 +0100"}, ("date", "invalid_date")),
        ("step_count", "count", {"qty": 1, "date": "0026-01-05 08:00:00 +0100"}, ("date", "implausible_date")),
        ("step_count", "count", {"qty": 1, "endDate": "2025-01-05 08:00:00 +0100"}, ("endDate", "end_before_start")),
        ("step_count", "count", {"qty": 1, "source": 3}, ("source", "wrong_type")),
        ("step_count", "count", {"qty": 1, "source": {"name": 3}}, ("source", "wrong_type")),
        ("step_count", "count", {"qty": 1, "source": "x" * 300}, ("source", "too_long")),
        ("step_count", "count", {"qty": 1, "source": "a\0"}, ("source", "nul_character")),
        ("moon_phase", "x" * 65, {"qty": 1}, ("units", "too_long")),
        ("moon_phase", "deg", {"qty": 1, "date": ""}, ("date", "missing_field")),
        ("moon\u202ephase", "deg", {"qty": 1}, ("name", "control_character")),
    ],
)
def test_faults(name: str, units: str | None, point: dict[str, Any], fault: tuple[str, str]) -> None:
    assert rejected(metric(name, units, {"date": EIGHT, **point})) == fault


def test_every_metric_is_healthkits() -> None:
    kinds = set()
    for name, found in labels().metrics.items():
        row = Metric(type=found) if isinstance(found, str) else found
        for identifier in {row.type, *(reading.type for reading in row.readings)} - {""}:
            registered = shipped_registry().get(identifier)
            assert registered is not None, name
            assert registered.kind is SampleKind.QUANTITY or all(reading.aggregation for reading in row.readings), name
            kinds.add(registered.kind)

    assert kinds == {SampleKind.QUANTITY, SampleKind.CATEGORY}


def test_every_unit_is_an_hkunit() -> None:
    rows = [row for row in labels().metrics.values() if isinstance(row, Metric)]
    units = [*labels().units.values(), *(unit for row in rows for unit in row.units.values())]

    assert all(parse_unit(unit) for unit in units)
    assert len(units) >= 3
