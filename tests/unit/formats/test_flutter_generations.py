"""Points of the Flutter package before 11 are what they are in 11, and are spoken of in their own words."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from django_healthkit_ingest.core.formats.flutter import FlutterFormat
from django_healthkit_ingest.core.formats.flutter_generations import translate
from django_healthkit_ingest.core.formats.flutter_values import names
from django_healthkit_ingest.core.registry import shipped_registry
from django_healthkit_ingest.core.samples import Parsed, Rejected, Sample, Section, Source, Statistic, Statistics
from django_healthkit_ingest.exceptions import TimeZoneRequired
from tests.unit.formats.examples import DIALECTS, HISTORY

OLDER = ("flutter_10_2", "flutter_10_0", "flutter_4_5", "flutter_4_0")


def parse(*elements: object) -> list[Parsed]:
    return list(
        FlutterFormat().parse(
            json.dumps(elements).encode(),
            section=Section.SAMPLES,
            first_index=0,
            time_zone="Europe/Berlin",
            registry=shipped_registry(),
        )
    )


def sample(element: object) -> Sample:
    (outcome,) = parse(element)
    assert isinstance(outcome, Sample), outcome
    return outcome


def today(element: object) -> dict[str, Any]:
    translated = translate(msgspec.Raw(json.dumps(element).encode()))
    assert translated is not None
    read: dict[str, Any] = msgspec.json.decode(translated.point)
    return read


def old(type: str, value: object, unit: str = "NO_UNIT", **fields: object) -> dict[str, Any]:
    """A point of 4.5 to 9.x."""
    point: dict[str, Any] = DIALECTS["flutter_4_5"].write(HISTORY[:1])[0]
    return point | {"data_type": type, "value": value, "unit": unit} | fields


@pytest.mark.parametrize("dialect", OLDER)
def test_the_older_point_is_todays_without_uuid(dialect: str) -> None:
    expected = DIALECTS["flutter_11"].write(HISTORY)
    for point in expected:
        del point["uuid"], point["recordingMethod"]

    found = [today(point) for point in DIALECTS[dialect].write(HISTORY)]

    for point in found:
        point.pop("recordingMethod", None)
    assert found == expected


@pytest.mark.parametrize("dialect", OLDER)
def test_the_source_survives(dialect: str) -> None:
    result = sample(DIALECTS[dialect].write(HISTORY)[0])

    assert result.source == Source(name="Ada's Watch", bundle_id="com.apple.health.0A1B")
    assert (result.uuid, result.details) == (None, None)


@pytest.mark.parametrize(("manual", "metadata"), [(True, {"HKWasUserEntered": True}), (False, None)])
def test_what_was_entered_by_hand(manual: bool, metadata: object) -> None:
    point = DIALECTS["flutter_10_2"].write(HISTORY)[0] | {"is_manual_entry": manual}

    assert json.loads(sample(point).metadata or "null") == metadata


def test_an_audiogram_whose_arrays_are_text() -> None:
    value = {"frequencies": "[1000.0, 2000.0]", "leftEarSensitivities": "[20, 25]", "rightEarSensitivities": "?"}

    details = json.loads(sample(old("audiogram", value, "decibel_hearing_level")).details or "")

    assert details["value"] == {
        "__type": "AudiogramHealthValue",
        "frequencies": [1000.0, 2000.0],
        "leftEarSensitivities": [20.0, 25.0],
        "rightEarSensitivities": "?",
    }


def test_an_electrocardiogram_in_snake_case() -> None:
    voltage = {"__type": "ElectrocardiogramVoltageValue", "voltage": 0.1, "time_since_sample_start": 0.01}
    value = {"__type": "ElectrocardiogramHealthValue", "voltage_values": [voltage], "average_heart_rate": 61}
    point = DIALECTS["flutter_10_2"].write(HISTORY)[0] | {"type": "ELECTROCARDIOGRAM", "value": value}

    found = today(point)["value"]

    assert found["averageHeartRate"] == 61
    assert found["voltageValues"] == [
        {"__type": "ElectrocardiogramVoltageValue", "voltage": 0.1, "timeSinceSampleStart": 0.01}
    ]


def test_a_workout_summary() -> None:
    summary = {"workout_type": "running", "total_distance": 6200, "total_energy_burned": 400, "total_steps": 0}
    value = {"workoutActivityType": "RUNNING"}

    result = sample(old("WORKOUT", value, workout_summary=summary))

    assert result.category == 37
    assert json.loads(result.details or "")["workoutSummary"] == {
        "workoutType": "running", "totalDistance": 6200, "totalEnergyBurned": 400, "totalSteps": 0,
    }  # fmt: skip


def test_what_has_no_name_today_keeps_its_own() -> None:
    result = sample(old("SOMETHING_OLD", {"numericValue": "1.5"}, "KILOCALORIE", colour="blue"))

    details = json.loads(result.details or "")
    assert (result.identifier, result.value, result.unit) == ("SOMETHING_OLD", 1.5, "kcal")
    assert (details["colour"], details["value"]["numericValue"]) == ("blue", 1.5)


@pytest.mark.parametrize("name", sorted(names().types))
def test_every_name_in_lower_case(name: str) -> None:
    value = {"numericValue": "1.0", "units": 1.0, "flow": "light"}
    if names().types[name].value_class != "NumericHealthValue":
        del value["numericValue"]
    unit = next((flutter for flutter, hk in names().units.items() if hk == names().types[name].unit), "NO_UNIT")

    (outcome,) = parse(old(name.lower(), value, unit.lower()))

    (result,) = outcome.values if isinstance(outcome, Statistics) else (outcome,)
    assert isinstance(result, Sample | Statistic), result
    assert result.identifier == (names().types[name].identifier or name)


@pytest.mark.parametrize(
    ("element", "field", "code"),
    [
        (
            old("HEART_RATE", {"numericValue": "72.0"}, "BEATS_PER_MINUTE", date_from="soon"),
            "date_from",
            "invalid_date",
        ),
        (old("HEART_RATE", {"numericValue": "72.0"}, "BEATS_PER_MINUTE", date_from=3), "date_from", "wrong_type"),
        (
            old("HEART_RATE", {"numericValue": "72.0"}, "BEATS_PER_MINUTE", date_to="2020-01-01T00:00:00.000"),
            "date_to",
            "end_before_start",
        ),
        (old("HEART_RATE", {"numericValue": "NaN"}, "BEATS_PER_MINUTE"), "value.numericValue", "wrong_type"),
        (old("HEART_RATE", {"frequencies": "[1]"}, "BEATS_PER_MINUTE"), "value.numericValue", "missing_field"),
        (old("HEART_RATE", {"numericValue": "72.0"}, "FURLONG"), "unit", "unit_unknown"),
        (
            old("HEART_RATE", {"numericValue": "72.0"}, "BEATS_PER_MINUTE", source_name="x\0"),
            "source_name",
            "nul_character",
        ),
        (old("MENSTRUATION_FLOW", {"numericValue": "3"}), "value", "value_class_unexpected"),
        (old("MENSTRUATION_FLOW", 3), "value", "wrong_type"),
        ({"date_from": "2026-07-01T08:00:00.000"}, "data_type", "missing_field"),
        (
            DIALECTS["flutter_10_2"].write(HISTORY)[0]
            | {"value": {"__type": "NumericHealthValue", "numeric_value": "x"}},
            "value.numeric_value",
            "wrong_type",
        ),
        (DIALECTS["flutter_10_2"].write(HISTORY)[0] | {"is_manual_entry": "no"}, "", ""),
        (DIALECTS["flutter_10_2"].write(HISTORY)[0] | {"is_manual_entry": 3}, "is_manual_entry", "wrong_type"),
    ],
)
def test_a_rejection_speaks_the_senders_language(element: object, field: str, code: str) -> None:
    before, outcome, after = parse(
        old("STEPS", {"numericValue": "1"}, "COUNT"), element, DIALECTS["flutter_11"].write(HISTORY)[0]
    )

    assert isinstance(before, Sample) and isinstance(after, Sample)
    found = (outcome.field, outcome.code) if isinstance(outcome, Rejected) else ("", "")
    assert found == (field, code)


@pytest.mark.parametrize(
    ("dialect", "pointers"),
    [("flutter_4_0", ["/0/date_from", "/0/date_to"]), ("flutter_11", ["/0/dateFrom", "/0/dateTo"])],
)
def test_naive_dates_are_pointed_at_by_the_senders_keys(dialect: str, pointers: list[str]) -> None:
    with pytest.raises(TimeZoneRequired) as caught:
        FlutterFormat().split(DIALECTS[dialect].body(HISTORY[:1]), time_zone=None)

    assert [error.pointer for error in caught.value.errors] == pointers


@pytest.mark.parametrize("element", [3, {}, [], {"type": "STEPS", "dateFrom": "x"}])
def test_what_is_no_older_point(element: object) -> None:
    assert translate(msgspec.Raw(json.dumps(element).encode())) is None
