from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from django_healthkit_ingest.core.catalogue import load
from django_healthkit_ingest.core.formats.base import Envelope
from django_healthkit_ingest.core.formats.envelope import join
from django_healthkit_ingest.core.formats.open_wearables import OpenWearablesFormat
from django_healthkit_ingest.core.registry import shipped_registry
from django_healthkit_ingest.core.rejections import reasons
from django_healthkit_ingest.core.samples import Device, Parsed, Rejected, Sample, Section, Source, ZoneBasis
from django_healthkit_ingest.exceptions import InvalidEnvelope, MalformedBody, TimeZoneRequired
from tests.unit.formats.examples import HISTORY, open_wearables

BODY = open_wearables(HISTORY)
RATE, STEPS, MASS, OXYGEN, ENERGY = BODY["data"]["records"]
(SLEEP,) = BODY["data"]["sleep"]
(WORKOUT,) = BODY["data"]["workouts"]


def parse(*elements: object) -> list[Parsed]:
    return list(
        OpenWearablesFormat().parse(
            json.dumps(elements).encode(),
            section=Section.SAMPLES,
            first_index=0,
            time_zone=None,
            registry=shipped_registry(),
        )
    )


def sample(element: object) -> Sample:
    (outcome,) = parse(element)
    assert isinstance(outcome, Sample), outcome
    return outcome


def split(body: object, *, time_zone: str | None = None) -> Envelope:
    return OpenWearablesFormat().split(json.dumps(body).encode(), time_zone=time_zone)


def record(identifier: str, value: object, unit: str | None) -> dict[str, Any]:
    return {**RATE, "type": identifier, "value": value, "unit": unit}


def test_a_quantity() -> None:
    result = sample(RATE)

    assert (result.identifier, result.value, result.category) == ("HKQuantityTypeIdentifierHeartRate", 72.0, None)
    assert (result.uuid, result.start) == (UUID(HISTORY[0].uuid), datetime(2026, 7, 1, 6, tzinfo=UTC))
    assert (result.time_zone, result.zone_basis) == ("", ZoneBasis.NONE)
    assert result.source == Source(bundle_id="com.apple.health.0A1B", device=Device(name="Apple Watch"))
    assert (result.metadata, result.details) == (None, None)
    assert result.rank >> 57 == OpenWearablesFormat.fidelity


@pytest.mark.parametrize(
    ("identifier", "value", "unit", "stored"),
    [
        ("HKQuantityTypeIdentifierOxygenSaturation", 97, "%", 0.97),
        ("HKQuantityTypeIdentifierOxygenSaturation", 100.0, "%", 1.0),
        ("HKQuantityTypeIdentifierOxygenSaturation", 0.97, "%", 0.97),
        ("HKQuantityTypeIdentifierBodyFatPercentage", 0.21, "%", 0.21),
        ("HKQuantityTypeIdentifierWalkingAsymmetryPercentage", 0.02, "%", 0.02),
        ("HKQuantityTypeIdentifierActiveEnergyBurned", 4.5, "Cal", 4.5),
        ("HKQuantityTypeIdentifierRestingHeartRate", 51, "bpm", 51.0),
        ("HKQuantityTypeIdentifierBodyMassIndex", 22.5, "kg/m²", 22.5),
        ("HKQuantityTypeIdentifierRespiratoryRate", 14, "breaths/min", 14.0),
        ("HKQuantityTypeIdentifierVO2Max", 42.5, "mL/kg/min", 42.5),
    ],
)
def test_units_and_percentages(identifier: str, value: float, unit: str, stored: float) -> None:
    assert sample(record(identifier, value, unit)).value == pytest.approx(stored)


def test_a_category_has_its_number_in_value() -> None:
    result = sample(record("HKCategoryTypeIdentifierMenstrualFlow", 3, None))

    assert (result.category, result.value) == (3, None)


@pytest.mark.parametrize(
    ("stage", "category"), [("in_bed", 0), ("sleeping", 1), ("awake", 2), ("light", 3), ("deep", 4), ("rem", 5)]
)
def test_a_stage_of_sleep(stage: str, category: int) -> None:
    result = sample(SLEEP | {"stage": stage, "values": None})

    assert (result.identifier, result.category) == ("HKCategoryTypeIdentifierSleepAnalysis", category)
    assert result.details is None


@pytest.mark.parametrize(("activity", "category"), [("hiit", 63), ("other", 3000), ("zorbing", None)])
def test_a_workout_is_kept_whole(activity: str, category: int | None) -> None:
    element = WORKOUT | {"type": activity}

    result = sample(element)

    assert (result.identifier, result.category, result.value) == ("HKWorkoutTypeIdentifier", category, None)
    assert json.loads(result.details or "") == element


def test_a_workout_without_values_is_known_by_its_activity() -> None:
    element = {key: member for key, member in WORKOUT.items() if key != "values"}

    assert sample(element).identifier == "HKWorkoutTypeIdentifier"


def test_every_activity_is_healthkits() -> None:
    known = {int(number) for number in load("enums.json")["HKWorkoutActivityType"]}

    assert set(load("open_wearables.json")["workout_activity"].values()) <= known


def test_a_type_of_the_future_is_kept_whole() -> None:
    element = record("HKQuantityTypeIdentifierNew", 3.0, "parsec")

    result = sample(element)

    assert (result.known, result.value, result.unit, json.loads(result.details or "")) == (
        False,
        3.0,
        "parsec",
        element,
    )


@pytest.mark.parametrize(
    ("dates", "time_zone"),
    [
        ({"startDate": "2026-07-01T06:00:00Z", "endDate": "2026-07-01T06:00:00Z"}, "+02:00"),
        ({"startDate": "2026-07-01T08:00:00", "endDate": "2026-07-01T08:00:00"}, "+02:00"),
        ({"startDate": "2026-07-01T07:00:00+01:00", "endDate": "2026-07-01T07:00:00+01:00"}, "+01:00"),
    ],
)
def test_a_zone_offset_is_the_civil_zone(dates: dict[str, str], time_zone: str) -> None:
    result = sample(RATE | dates | {"zoneOffset": "+02:00"})

    assert result.start == result.end == datetime(2026, 7, 1, 6, tzinfo=UTC)
    assert (result.time_zone, result.zone_basis) == (time_zone, ZoneBasis.OFFSET)


@pytest.mark.parametrize("offset", ["CET", "", "+99:99", "+0200"])
def test_a_zone_offset_that_is_none_changes_nothing(offset: str) -> None:
    assert sample(RATE | {"zoneOffset": offset}).start == sample(RATE).start


@pytest.mark.parametrize(
    ("sent", "metadata"),
    [
        ({"HKWasUserEntered": True}, {"HKWasUserEntered": True}),
        ([{"key": "HKWasUserEntered", "value": "1"}, {"key": "a b", "value": 2}], {"HKWasUserEntered": "1", "a b": 2}),
        ([], None),
        ({}, None),
    ],
)  # fmt: skip
def test_metadata(sent: object, metadata: object) -> None:
    assert json.loads(sample(RATE | {"metadata": sent}).metadata or "null") == metadata


def test_everything_a_source_can_say() -> None:
    source = {
        "appId": "com.apple.health.0A1B",
        "name": "Ada's Watch",
        "version": "11.1",
        "productType": "Watch7,11",
        "operatingSystemVersion": {"majorVersion": 11, "minorVersion": 1, "patchVersion": 0},
        "deviceId": "phone",
        "deviceName": "Apple Watch",
        "deviceManufacturer": "Apple Inc.",
        "deviceModel": "Watch",
        "deviceHardwareVersion": "Watch7,11",
        "deviceSoftwareVersion": "11.1",
    }

    assert sample(RATE | {"source": source}).source == Source(
        bundle_id="com.apple.health.0A1B",
        name="Ada's Watch",
        version="11.1",
        product_type="Watch7,11",
        system_version="11.1.0",
        device=Device(
            name="Apple Watch", manufacturer="Apple Inc.", model="Watch", hardware="Watch7,11", software="11.1"
        ),
    )


@pytest.mark.parametrize("source", [None, {}, {"deviceType": "watch"}])
def test_a_source_that_says_nothing(source: object) -> None:
    assert sample(RATE | {"source": source}).source is None


@pytest.mark.parametrize(
    ("element", "field", "code"),
    [
        (3, "", "malformed_record"),
        ({}, "startDate", "missing_field"),
        (RATE | {"type": None}, "type", "missing_field"),
        (RATE | {"type": "\0"}, "type", "nul_character"),
        (RATE | {"id": "abc-xyz-123"}, "id", "invalid_uuid"),
        (RATE | {"id": str(UUID(int=0))}, "id", "invalid_uuid"),
        (RATE | {"startDate": "soon"}, "startDate", "invalid_date"),
        (RATE | {"startDate": "soonZ", "zoneOffset": "+01:00"}, "startDate", "invalid_date"),
        (RATE | {"startDate": "2026-07-01T08:00:00"}, "startDate", "naive_date"),
        (RATE | {"endDate": "2020-07-01T08:00:00Z"}, "endDate", "end_before_start"),
        (RATE | {"value": None}, "value", "missing_field"),
        (RATE | {"value": "72"}, "value", "wrong_type"),
        (RATE | {"unit": "kg"}, "unit", "unit_mismatch"),
        (RATE | {"unit": None}, "unit", "missing_unit"),
        (record("HKCategoryTypeIdentifierMenstrualFlow", 1.5, None), "value", "wrong_type"),
        (SLEEP | {"stage": "dreaming"}, "stage", "value_unknown"),
        (SLEEP | {"stage": 3}, "stage", "wrong_type"),
        (RATE | {"zoneOffset": 3}, "zoneOffset", "wrong_type"),
        (RATE | {"metadata": [3]}, "metadata", "wrong_type"),
        (RATE | {"metadata": 3}, "metadata", "wrong_type"),
        (RATE | {"source": {"appId": "x" * 300}}, "source.appId", "too_long"),
        (RATE | {"source": {"deviceName": "\0"}}, "source.deviceName", "nul_character"),
        (RATE | {"source": {"operatingSystemVersion": "11"}}, "source.operatingSystemVersion", "wrong_type"),
        (RATE | {"source": 3}, "source", "wrong_type"),
    ],
)
def test_one_bad_record_never_sinks_its_neighbours(element: object, field: str, code: str) -> None:
    before, outcome, after = parse(RATE, element, SLEEP)

    assert isinstance(before, Sample) and isinstance(after, Sample)
    assert outcome == Rejected(index=1, field=field, code=code, detail=reasons()[code])


def test_the_three_arrays_become_one() -> None:
    data = {"workouts": [WORKOUT], "records": [RATE, STEPS], "sleep": [SLEEP]}

    envelope = split(BODY | {"data": data})

    assert [json.loads(bytes(raw)) for raw in envelope.records[Section.SAMPLES]] == [RATE, STEPS, SLEEP, WORKOUT]
    assert (envelope.client, envelope.warnings) == ({"name": "open-wearables", "version": "0.4.0"}, ())


@pytest.mark.parametrize("data", [{}, {"records": None}, {"records": [], "sleep": [], "workouts": []}])
def test_nothing_is_required_in_data(data: object) -> None:
    assert split({"provider": "apple", "data": data}) == Envelope(records={})


def test_what_is_ignored_is_named() -> None:
    body = BODY | {"colour": 1, "data": {"records": [RATE], "nutrition": []}}

    envelope = split(body)

    assert envelope.warnings == ("colour", "data.nutrition")
    assert len(envelope.records[Section.SAMPLES]) == 1


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"provider": "samsung_health"}, "/provider", "unsupported_provider"),
        ({"provider": None}, "/provider", "wrong_type"),
        ({"format": "healthkit"}, "/format", "format_mismatch"),
        ({"sdkVersion": "x" * 300}, "/sdkVersion", "too_long"),
        ({"sdkVersion": "x\0"}, "/sdkVersion", "nul_character"),
        ({"sdkVersion": 3}, "/sdkVersion", "wrong_type"),
        ({"data": {"records": {}}}, "/data/records", "wrong_type"),
        ({"data": {"sleep": 3}}, "/data/sleep", "wrong_type"),
        ({"data": None}, "/data", "wrong_type"),
    ],
)
def test_every_fault_of_the_envelope_has_its_pointer(change: dict[str, Any], pointer: str, code: str) -> None:
    with pytest.raises(InvalidEnvelope) as caught:
        split(BODY | change)

    assert [(error.pointer, error.code) for error in caught.value.errors] == [(pointer, code)]


@pytest.mark.parametrize(("missing", "pointer"), [("provider", "/provider"), ("data", "/data")])
def test_what_is_required(missing: str, pointer: str) -> None:
    with pytest.raises(InvalidEnvelope) as caught:
        split({key: member for key, member in BODY.items() if key != missing})

    assert [(error.pointer, error.code) for error in caught.value.errors] == [(pointer, "missing_field")]


@pytest.mark.parametrize("body", [[], 3, None])
def test_what_is_no_envelope(body: object) -> None:
    with pytest.raises(InvalidEnvelope):
        split(body)


@pytest.mark.parametrize("body", [b"", b"{", b'{"provider": "\xff"}', b"[" * 200_000])
def test_what_is_no_json(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        OpenWearablesFormat().split(body, time_zone=None)


def test_naive_dates_need_a_zone() -> None:
    naive = {"startDate": "2026-07-01T08:00:00", "endDate": "2026-07-01T08:00:00"}
    data = {"records": [RATE, RATE | naive | {"zoneOffset": "+02:00"}], "sleep": [SLEEP | naive]}

    with pytest.raises(TimeZoneRequired) as caught:
        split(BODY | {"data": data})

    assert [error.pointer for error in caught.value.errors] == ["/data/sleep/0/startDate", "/data/sleep/0/endDate"]
    assert split(BODY | {"data": data}, time_zone="Europe/Berlin").time_zone == "Europe/Berlin"


def test_indexes_count_through_the_three_arrays() -> None:
    data = {"records": [RATE], "sleep": [SLEEP, SLEEP | {"stage": "x"}], "workouts": [WORKOUT]}

    outcomes = list(
        OpenWearablesFormat().parse(
            join(split(BODY | {"data": data}).records[Section.SAMPLES]),
            section=Section.SAMPLES,
            first_index=0,
            time_zone=None,
            registry=shipped_registry(),
        )
    )

    assert [(each.index, isinstance(each, Sample)) for each in outcomes] == [
        (0, True),
        (1, True),
        (2, False),
        (3, True),
    ]
