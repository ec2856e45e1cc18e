from __future__ import annotations

import json
from typing import Any

import pytest

from django_healthkit_ingest.core import type_names
from django_healthkit_ingest.core.formats import apple_export_records
from django_healthkit_ingest.core.registry import shipped_registry
from django_healthkit_ingest.core.type_names import flutter_identifier, fold, mentions, names_of

FLOW = "HKCategoryTypeIdentifierMenstrualFlow"
SLEEP = "HKCategoryTypeIdentifierSleepAnalysis"


def is_named(record: Any, identifier: str, *, format: str = "healthkit") -> bool:
    text = record if isinstance(record, bytes) else json.dumps(record).encode()
    return mentions(text, names_of(identifier, format=format, registry=shipped_registry()))


@pytest.mark.parametrize(
    ("format", "record", "identifier"),
    [
        ("healthkit", {"type": FLOW, "start": 1}, FLOW),
        ("healthkit", {"type": " hkCategoryTypeIdentifier-MenstrualFlow\0"}, FLOW),
        ("healthkit", {"objects": [{"type": [FLOW]}]}, FLOW),
        ("healthkit", {FLOW: 3}, FLOW),
        ("healthkit", b'{"type":"HKCategory\\u0054ypeIdentifierMenstrualFlow"}', FLOW),
        ("healthkit", {"type": "HKElectrocardiogram"}, "HKDataTypeIdentifierElectrocardiogram"),
        ("healthkit", {"type": "com.acme.mood"}, "com.acme.mood"),
        ("flutter", {"type": "MENSTRUATION_FLOW"}, FLOW),
        ("flutter", {"data_type": "menstruation_flow"}, FLOW),
        ("flutter", {"type": "SLEEP_REM"}, SLEEP),
        ("health_auto_export", {"name": "blood_pressure"}, "HKQuantityTypeIdentifierBloodPressureSystolic"),
        ("health_auto_export", {"name": "Blood Pressure"}, "HKQuantityTypeIdentifierBloodPressureDiastolic"),
        ("health_auto_export", {"kind": "symptoms", "record": {"name": "Acne"}}, "HKCategoryTypeIdentifierAcne"),
        ("health_auto_export", {"kind": "symptoms", "record": {"name": "Fiebre"}}, "HealthAutoExport.symptom"),
        ("health_auto_export", {"kind": "workouts", "record": 1}, "HKWorkoutTypeIdentifier"),
        ("health_auto_export", {"name": "moon_phase"}, "HealthAutoExport.moon_phase"),
        ("open_wearables", {"stage": "dreaming"}, SLEEP),
        ("open_wearables", {"type": "running"}, "HKWorkoutTypeIdentifier"),
        ("react_native_healthkit", {"workoutActivityType": "x"}, "HKWorkoutTypeIdentifier"),
        ("apple_export", {"element": "Workout"}, "HKWorkoutTypeIdentifier"),
        ("apple_export", {"element": "ClinicalRecord", "type": "Observation"},
         "HKClinicalTypeIdentifierVitalSignRecord"),
    ],
)  # fmt: skip
def test_a_record_names_its_type(format: str, record: Any, identifier: str) -> None:
    assert is_named(record, identifier, format=format)


@pytest.mark.parametrize(
    ("format", "record", "identifier"),
    [
        ("healthkit", {"type": "HKQuantityTypeIdentifierHeartRateVariabilitySDNN"},
         "HKQuantityTypeIdentifierHeartRate"),
        ("healthkit", {"type": "MENSTRUATION_FLOW"}, FLOW),
        ("healthkit", {"stage": "deep"}, SLEEP),
        ("flutter", {"type": "HEART_RATE"}, FLOW),
        ("open_wearables", {"type": "other"}, "HKWorkoutTypeIdentifier"),
        ("made_up", {"type": "x"}, FLOW),
    ],
)  # fmt: skip
def test_another_type_is_not_named(format: str, record: Any, identifier: str) -> None:
    assert not is_named(record, identifier, format=format)


@pytest.mark.parametrize(
    "record",
    [b"null", b'"\\ud83d"', b'{"a":"' + b"x" * 2**20 + b'"}', b'"\\"', b'"name', b"\xff"],
    ids=["null", "half a character", "long", "cut off", "open", "no text"],
)
def test_any_text_can_be_looked_through(record: bytes) -> None:
    assert not mentions(record, frozenset({"name"}))


@pytest.mark.parametrize("padding", [b"[" * 50_000, b'{"x":1},' * 50_000, b'"' + b"x" * 2**20 + b'",'])
def test_a_name_is_found_behind_whatever_there_is(padding: bytes) -> None:
    assert mentions(padding + b'"name"', frozenset({"name"}))


def test_what_is_too_much_to_be_looked_through_may_hold_any_name() -> None:
    route = b",".join(b'{"latitude":"52"}' for _ in range(200_000))
    bomb = b",".join(b'"%x"' % number for number in range(type_names._MOST + 1))

    assert not mentions(route, frozenset({"name"}))
    assert mentions(bomb, frozenset({"name"}))


def test_names_that_hide_in_escapes_and_strange_letters() -> None:
    assert fold("Menstruation_FLOW ") == "menstruationflow"
    assert mentions(b'{"Gr":"\\u0047R\\u00d6SSE"}', frozenset({"gr\u00f6sse"}))


def test_elements_of_the_export_are_those_that_it_reads() -> None:
    known = {**apple_export_records._TYPES, "ActivitySummary": apple_export_records._ACTIVITY_SUMMARY}

    assert known == type_names._EXPORT_ELEMENTS


@pytest.mark.parametrize(
    ("name", "identifier"), [("MENSTRUATION_FLOW", FLOW), ("ACTIVITY_INTENSITY", None), ("menstruation_flow", None)]
)
def test_names_of_flutter(name: str, identifier: str | None) -> None:
    assert flutter_identifier(name) == identifier
