from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from django_healthkit_ingest.core.encodings import decompress
from django_healthkit_ingest.core.formats.health_auto_export_labels import folded, labels
from django_healthkit_ingest.core.registry import SampleKind, shipped_registry
from django_healthkit_ingest.core.samples import Sample, Source, ZoneBasis
from tests.unit.formats.health_auto_export_examples import EIGHT, NINE, WIRE, metric, parse, rejected, sample

CATEGORY = "HKCategoryTypeIdentifier"
ROUTE = [{"latitude": 52.5, "longitude": 13.4, "altitude": None, "timestamp": EIGHT}] * 2
WORKOUT = {
    "id": "50135A58-6D6B-4B0E-8F0E-8A51E6A6B2E1",
    "name": "Outdoor Run",
    "start": EIGHT,
    "end": NINE,
    "duration": 3600,
    "distance": {"qty": 10.2, "units": "km"},
    "temperature": None,
    "stepCount": [{"date": EIGHT, "qty": 160, "units": "count", "source": "Watch"}],
    "heartRateData": [{"date": EIGHT, "Min": 130, "Avg": 141, "Max": 150, "units": "bpm"}],
}
OLD_WORKOUT = {
    "name": "Walking",
    "start": EIGHT,
    "end": NINE,
    "intesity": {"qty": 5.5, "units": "MET"},
    "elevation": {"ascent": 12, "descent": 10, "units": "m"},
    "route": [{"lat": 52.5, "lon": 13.4, "altitude": 35, "timestamp": EIGHT}],
}
SYMPTOM = {"name": "Headache", "severity": "Mild", "start": EIGHT, "end": NINE, "userEntered": True, "source": "Health"}
NOTIFICATION = {
    "heartNotification": "low_heart_rate_notification",
    "threshold": 45,
    "start": EIGHT,
    "end": NINE,
    "heartRateData": [{"hr": 43, "units": "bpm"}],
    "source": {"name": "Watch", "identifier": "com.example.watch"},
}


def test_a_workout_is_kept_whole_but_for_its_route() -> None:
    result = sample("workouts", WORKOUT | {"route": ROUTE})

    assert (result.identifier, result.category, result.value) == ("HKWorkoutTypeIdentifier", 37, None)
    assert result.uuid == UUID(str(WORKOUT["id"]))
    assert (result.start, result.end) == (datetime(2026, 1, 5, 7, tzinfo=UTC), datetime(2026, 1, 5, 8, tzinfo=UTC))
    assert (result.time_zone, result.zone_basis) == ("+01:00", ZoneBasis.OFFSET)
    assert json.loads(result.details or "") == WORKOUT
    (series,) = result.series
    assert (series.name, series.points) == ("locations", 2)
    assert json.loads(decompress(series.payload)) == ROUTE
    assert result.rank >> 57 == WIRE.fidelity


def test_a_workout_of_version_1() -> None:
    result = sample("workouts", OLD_WORKOUT)

    assert (result.category, result.uuid) == (52, None)
    assert [(series.name, series.points) for series in result.series] == [("locations", 1)]
    assert json.loads(result.details or "")["intesity"] == {"qty": 5.5, "units": "MET"}


@pytest.mark.parametrize("members", [{"route": None}, {"route": []}, {"id": None}, {"id": "workout-1"}, {"end": None}])
def test_a_workout_with_little(members: dict[str, Any]) -> None:
    result = sample("workouts", WORKOUT | members)

    assert result.category == 37
    assert (result.uuid is None) is ("id" in members)


@pytest.mark.parametrize(
    ("name", "activity"),
    [
        ("Running", 37), ("Indoor Run", 37), ("Outdoor Walk", 52), ("Traditional Strength Training", 50),
        ("High Intensity Interval Training", 63), ("HIIT", 63), ("Indoor Cycling", 13), ("Outdoor Cycle", 13),
        ("Pool Swim", 46), ("Open Water Swim", 46), ("Tai Chi", 72), ("Stair Stepper", 44), ("Other", 3000),
        ("Wheelchair Walk Pace", 70), ("Multisport", 82), ("Laufen", None), ("Indoor", None), ("", None), (None, None),
    ],
)  # fmt: skip
def test_activities(name: str | None, activity: int | None) -> None:
    element = WORKOUT | {"name": name}

    result = sample("workouts", element)

    assert (result.category, json.loads(result.details or "")) == (activity, element)


def test_every_activity_is_healthkits() -> None:
    workout = shipped_registry().get("HKWorkoutTypeIdentifier")

    assert workout is not None
    assert set(labels().activities.values()) <= set(workout.category_values)
    assert all(folded(name) == name for name in labels().activities)


def test_a_state_of_mind() -> None:
    element = {
        "id": "4EA97D5E-3C1B-4BB7-9F0A-6F1D2C3B4A59",
        "start": EIGHT,
        "end": EIGHT,
        "kind": "daily_mood",
        "labels": ["calm"],
        "associations": ["weather"],
        "valence": 0.25,
        "valenceClassification": "slightly_pleasant",
        "metadata": {"HKTimeZone": "Europe/Lisbon"},
    }

    result = sample("stateOfMind", element)

    assert (result.identifier, result.kind) == ("HKDataTypeStateOfMind", SampleKind.STATE_OF_MIND)
    assert (result.uuid, json.loads(result.details or "")) == (UUID(str(element["id"])), element)


def test_an_electrocardiogram() -> None:
    voltages = [{"date": 789289200.0 + index / 512, "voltage": 23.5, "units": "mcV"} for index in range(3)]
    element = {
        "start": EIGHT,
        "end": NINE,
        "classification": "Ritmo sinusal",
        "samplingFrequency": 512,
        "source": "ECG",
    }

    result = sample("ecg", element | {"voltageMeasurements": voltages})

    assert (result.identifier, result.uuid) == ("HKDataTypeIdentifierElectrocardiogram", None)
    assert [(series.name, series.points) for series in result.series] == [("voltages", 3)]
    assert json.loads(result.details or "") == element
    assert result.source == Source(name="ECG")


@pytest.mark.parametrize("dates", [{"start": EIGHT}, {"start": None, "scheduledDate": EIGHT}])
def test_a_dose(dates: dict[str, Any]) -> None:
    element = {"displayText": "Magnesium ", "status": "Tomado", "dosage": 1, "codings": [], **dates}

    result = sample("medications", element)

    assert (result.identifier, result.kind) == (
        "HKMedicationDoseEventTypeIdentifierMedicationDoseEvent",
        SampleKind.MEDICATION,
    )
    assert (result.start, json.loads(result.details or "")) == (datetime(2026, 1, 5, 7, tzinfo=UTC), element)


def test_a_symptom() -> None:
    result = sample("symptoms", SYMPTOM)

    assert (result.identifier, result.category, result.details) == (f"{CATEGORY}Headache", 2, None)
    assert json.loads(result.metadata or "") == {"HKWasUserEntered": True}
    assert result.source == Source(name="Health")


@pytest.mark.parametrize(
    ("name", "severity", "identifier", "category"),
    [
        ("Chest Tightness or Pain", "Severe", "ChestTightnessOrPain", 4),
        ("Body & Muscle Ache", "Not Present", "GeneralizedBodyAche", 1),
        ("Rapid, Pounding, or Fluttering Heartbeat", "Unspecified", "RapidPoundingOrFlutteringHeartbeat", 0),
        ("Appetite Changes", "No Change", "AppetiteChanges", 1),
        ("Mood Changes", "Present", "MoodChanges", 0),
    ],
)
def test_symptoms(name: str, severity: str, identifier: str, category: int) -> None:
    result = sample("symptoms", SYMPTOM | {"name": name, "severity": severity})

    assert (result.identifier, result.category) == (f"{CATEGORY}{identifier}", category)


@pytest.mark.parametrize(
    "members",
    [{"name": "Fatiga"}, {"severity": "Leve"}, {"severity": None}, {"name": None}, {"name": "Running"}],
)
def test_a_symptom_in_the_phones_language_is_kept_whole(members: dict[str, Any]) -> None:
    element = SYMPTOM | members

    result = sample("symptoms", element)

    assert (result.identifier, result.known, result.category) == ("HealthAutoExport.symptom", False, None)
    assert json.loads(result.details or "") == element


@pytest.mark.parametrize(
    ("name", "value", "identifier", "category", "metadata"),
    [
        ("Menstrual Flow", "Heavy", "MenstrualFlow", 4, None),
        ("Cervical Mucus Quality", "Egg White", "CervicalMucusQuality", 5, None),
        ("Ovulation Test Result", "Positive", "OvulationTestResult", 2, None),
        ("Ovulation Test Result", "Luteinizing Hormone Surge", "OvulationTestResult", 2, None),
        ("Spotting", None, "IntermenstrualBleeding", 0, None),
        ("Sexual Activity", "Protection Used", "SexualActivity", 0, {"value": "Protection Used"}),
    ],
)
def test_cycle_tracking(
    name: str, value: str | None, identifier: str, category: int, metadata: dict[str, Any] | None
) -> None:
    result = sample("cycleTracking", {"name": name, "value": value, "start": EIGHT, "end": EIGHT})

    assert (result.identifier, result.category) == (f"{CATEGORY}{identifier}", category)
    assert json.loads(result.metadata or "null") == metadata


def test_a_cycle_in_the_phones_language_is_kept_whole() -> None:
    element = {"name": "Flujo Menstrual", "value": "Pesado", "start": EIGHT}

    result = sample("cycleTracking", element)

    assert (result.identifier, json.loads(result.details or "")) == ("HealthAutoExport.cycle_tracking", element)


@pytest.mark.parametrize(
    ("slug", "identifier"),
    [
        ("low_heart_rate_notification", "LowHeartRateEvent"),
        ("high_heart_rate_notification", "HighHeartRateEvent"),
        ("irregular_rhythm_notification", "IrregularHeartRhythmEvent"),
    ],
)
def test_heart_rate_notifications(slug: str, identifier: str) -> None:
    result = sample("heartRateNotifications", NOTIFICATION | {"heartNotification": slug})

    assert (result.identifier, result.category) == (f"{CATEGORY}{identifier}", 0)
    assert json.loads(result.metadata or "") == {
        "HKHeartRateEventThreshold": {"quantity": 45, "unit": "count/min"},
        "heartRateData": NOTIFICATION["heartRateData"],
    }
    assert result.source == Source(name="Watch", bundle_id="com.example.watch")


def test_a_notification_of_no_known_kind_is_kept_whole() -> None:
    element = {name: member for name, member in NOTIFICATION.items() if name != "heartNotification"}

    result = sample("heartRateNotifications", element)

    assert (result.identifier, json.loads(result.details or "")) == (
        "HealthAutoExport.heart_rate_notification",
        element,
    )


@pytest.mark.parametrize(
    ("value", "category"),
    [("In Bed", 0), ("Asleep", 1), ("Unspecified", 1), ("Awake", 2), ("Core", 3), ("Deep", 4), ("REM", 5)],
)
def test_a_stage_of_sleep(value: str, category: int) -> None:
    point = {"startDate": EIGHT, "endDate": NINE, "qty": 1, "value": value, "source": "Watch"}

    (result,) = parse(metric("sleep_analysis", "hr", point))

    assert isinstance(result, Sample)
    assert (result.identifier, result.category) == (
        f"{CATEGORY}SleepAnalysis",
        category,
    )
    assert (result.metadata, result.end) == (
        None,
        datetime(2026, 1, 5, 8, tzinfo=UTC),
    )


def test_a_stage_in_the_phones_language_is_kept_whole() -> None:
    point = {"startDate": EIGHT, "endDate": NINE, "qty": 1, "value": "Profundo"}

    (result,) = parse(metric("sleep_analysis", "hr", point))

    assert isinstance(result, Sample)
    assert (result.identifier, json.loads(result.details or "")) == ("HealthAutoExport.sleep_analysis", point)


def test_an_unknown_array_is_kept_whole() -> None:
    element = {"date": EIGHT, "anything": [1]}

    result = sample("newThings", element)

    assert (result.identifier, result.known) == ("HealthAutoExport.newThings", False)
    assert json.loads(result.details or "") == element


def test_what_a_category_has_no_column_for_is_metadata() -> None:
    element = SYMPTOM | {"metadata": {"HKTimeZone": "Europe/Lisbon"}, "note": "after lunch", "empty": None}

    result = sample("symptoms", element)

    assert json.loads(result.metadata or "") == {
        "HKTimeZone": "Europe/Lisbon",
        "HKWasUserEntered": True,
        "note": "after lunch",
    }
    assert (result.time_zone, result.zone_basis) == ("Europe/Lisbon", ZoneBasis.METADATA)


@pytest.mark.parametrize(
    ("kind", "element", "fault"),
    [
        ("workouts", 7, ("", "malformed_record")),
        ("workouts", WORKOUT | {"start": None}, ("start", "missing_field")),
        ("workouts", WORKOUT | {"start": 7}, ("start", "wrong_type")),
        ("workouts", WORKOUT | {"start": "morning"}, ("start", "invalid_date")),
        ("workouts", WORKOUT | {"end": "2025-01-05 08:00:00 +0100"}, ("end", "end_before_start")),
        ("workouts", WORKOUT | {"id": 7}, ("id", "wrong_type")),
        ("workouts", WORKOUT | {"id": "00000000-0000-0000-0000-000000000000"}, ("id", "invalid_uuid")),
        ("workouts", WORKOUT | {"name": 7}, ("name", "wrong_type")),
        ("workouts", WORKOUT | {"source": 7}, ("source", "wrong_type")),
        ("workouts", WORKOUT | {"note": "\0"}, ("", "nul_character")),
        ("symptoms", SYMPTOM | {"severity": 7}, ("severity", "wrong_type")),
        ("symptoms", SYMPTOM | {"note": "\0"}, ("metadata", "nul_character")),
        ("symptoms", SYMPTOM | {"source": "x" * 300}, ("source", "too_long")),
        ("heartRateNotifications", NOTIFICATION | {"threshold": "x"}, ("threshold", "wrong_type")),
        ("newThings", {"anything": 1}, ("start", "missing_field")),
    ],
)
def test_faults(kind: str, element: object, fault: tuple[str, str]) -> None:
    assert rejected({kind: [element]}) == fault


def test_every_named_type_is_healthkits() -> None:
    named = {identifier for names in labels().names.values() for identifier in names.values()}
    whole = {kind.type for kind in labels().kinds.values()} - {""}

    assert all(folded(name) == name for names in labels().names.values() for name in names)
    for identifier in named | set(labels().values):
        registered = shipped_registry().get(identifier)
        assert registered is not None, identifier
        assert registered.kind is SampleKind.CATEGORY
    assert all(identifier in shipped_registry() for identifier in whole)


def test_every_symptom_has_a_name() -> None:
    symptoms = {each.identifier for each in shipped_registry() if each.group == "symptoms"}

    assert symptoms == set(labels().names["symptoms"].values())
