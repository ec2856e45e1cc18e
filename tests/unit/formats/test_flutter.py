from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from django_healthkit_ingest.core.formats.flutter import FlutterFormat
from django_healthkit_ingest.core.formats.flutter_values import names
from django_healthkit_ingest.core.formats.healthkit import HealthKitFormat
from django_healthkit_ingest.core.registry import SampleKind, shipped_registry
from django_healthkit_ingest.core.rejections import reasons
from django_healthkit_ingest.core.samples import (
    Deletion,
    Parsed,
    Rejected,
    Sample,
    Section,
    Source,
    Statistic,
    Statistics,
    ZoneBasis,
)

UUID_TEXT = "7D0F3A11-BBBB-4000-8000-000000000001"


def point(type: str, value: object, unit: str | None = "NO_UNIT", **fields: object) -> dict[str, Any]:
    return {
        "uuid": UUID_TEXT,
        "value": value,
        "type": type,
        "unit": unit,
        "dateFrom": "2026-07-01T08:00:00.000",
        "dateTo": "2026-07-01T08:30:00.000",
        "sourcePlatform": "appleHealth",
        "sourceDeviceId": "0A1B2C3D-phone-vendor-id",
        "sourceId": "com.apple.health.77",
        "sourceName": "Ada's Watch",
        "recordingMethod": "automatic",
    } | fields


def numeric(number: object) -> dict[str, Any]:
    return {"__type": "NumericHealthValue", "numericValue": number}


HEART_RATE = point("HEART_RATE", numeric(72.0), "BEATS_PER_MINUTE")


def parse(*elements: object, section: Section = Section.SAMPLES, first_index: int = 0) -> list[Parsed]:
    return list(
        FlutterFormat().parse(
            json.dumps(elements).encode(),
            section=section,
            first_index=first_index,
            time_zone="Europe/Berlin",
            registry=shipped_registry(),
        )
    )


def sample(element: object) -> Sample:
    (outcome,) = parse(element)
    assert isinstance(outcome, Sample), outcome
    return outcome


def statistic(element: object) -> Statistic:
    (outcome,) = parse(element)
    assert isinstance(outcome, Statistics), outcome
    (value,) = outcome.values
    return value


def test_a_quantity() -> None:
    result = sample(HEART_RATE)

    assert (result.identifier, result.known) == ("HKQuantityTypeIdentifierHeartRate", True)
    assert result.uuid == UUID(UUID_TEXT)
    assert (result.value, result.unit, result.category) == (72.0, "", None)
    assert result.start == datetime(2026, 7, 1, 6, tzinfo=UTC)
    assert result.end == datetime(2026, 7, 1, 6, 30, tzinfo=UTC)
    assert (result.time_zone, result.zone_basis) == ("Europe/Berlin", ZoneBasis.DECLARED)
    assert result.source == Source(name="Ada's Watch", bundle_id="com.apple.health.77")
    assert (result.metadata, result.details) == (None, None)
    assert result.rank >> 57 == FlutterFormat.fidelity


def test_it_is_the_record_healthkit_itself_would_send() -> None:
    element = {
        "type": "HKQuantityTypeIdentifierHeartRate",
        "start": "2026-07-01T08:00:00.000+02:00",
        "end": "2026-07-01T08:30:00.000+02:00",
        "value": 72,
        "unit": "count/min",
    }

    (native,) = HealthKitFormat().parse(
        json.dumps([element]).encode(),
        section=Section.SAMPLES,
        first_index=0,
        time_zone=None,
        registry=shipped_registry(),
    )

    assert isinstance(native, Sample)
    assert native.fingerprint == sample(HEART_RATE).fingerprint
    assert native.rank > sample(HEART_RATE).rank


@pytest.mark.parametrize(
    ("element", "value"),
    [
        (point("BLOOD_OXYGEN", numeric(0.97), "PERCENT"), 0.97),
        (point("BODY_MASS_INDEX", numeric(22), "NO_UNIT"), 22.0),
        (point("WEIGHT", numeric(154.32358), "POUND"), 69.99999988),
        (point("WATER", numeric(0.25), "LITER"), 250.0),
        (point("HEIGHT", numeric(1.72), "METER"), None),
        (point("APPLE_STAND_TIME", numeric(120), "SECOND"), 2.0),
        (point("UV_INDEX", numeric(3.0), "COUNT"), 3.0),
        (point("STEPS", numeric(10), "count"), 10.0),
    ],
)
def test_units_are_data(element: dict[str, Any], value: float | None) -> None:
    result = sample(element)

    sample_type = shipped_registry().get(result.identifier)
    assert sample_type is not None
    if value is None:  # stored in centimetres or metres: as the catalogue says
        value = 172.0 if sample_type.canonical_unit == "cm" else 1.72
    assert result.value == pytest.approx(value)


@pytest.mark.parametrize(
    ("name", "identifier", "category"),
    [
        ("SLEEP_IN_BED", "HKCategoryTypeIdentifierSleepAnalysis", 0),
        ("SLEEP_ASLEEP", "HKCategoryTypeIdentifierSleepAnalysis", 1),
        ("SLEEP_AWAKE", "HKCategoryTypeIdentifierSleepAnalysis", 2),
        ("SLEEP_LIGHT", "HKCategoryTypeIdentifierSleepAnalysis", 3),
        ("SLEEP_DEEP", "HKCategoryTypeIdentifierSleepAnalysis", 4),
        ("SLEEP_REM", "HKCategoryTypeIdentifierSleepAnalysis", 5),
        ("HEADACHE_UNSPECIFIED", "HKCategoryTypeIdentifierHeadache", 0),
        ("HEADACHE_SEVERE", "HKCategoryTypeIdentifierHeadache", 4),
        ("MINDFULNESS", "HKCategoryTypeIdentifierMindfulSession", 0),
    ],
)
def test_a_duration_in_minutes_is_not_the_value(name: str, identifier: str, category: int) -> None:
    result = sample(point(name, numeric(30.0), "MINUTE"))

    assert (result.identifier, result.category, result.value, result.unit) == (identifier, category, None, "")


@pytest.mark.parametrize(
    ("name", "unit", "number"),
    [("APPLE_STAND_HOUR", "HOUR", 1.0), ("HIGH_HEART_RATE_EVENT", "NO_UNIT", 0), ("APPLE_STAND_HOUR", None, 0.0)],
)
def test_a_category_that_is_the_number(name: str, unit: str | None, number: float) -> None:
    result = sample(point(name, numeric(number), unit))

    assert (result.category, result.value) == (int(number), None)


@pytest.mark.parametrize(
    ("flow", "category"),
    [("unspecified", 1), ("light", 2), ("medium", 3), ("heavy", 4), ("none", 5), ("spotting", 1), (None, 1)],
)
def test_menstrual_flow(flow: str | None, category: int) -> None:
    value = {"__type": "MenstruationFlowHealthValue", "flow": flow, "isStartOfCycle": False, "wasUserEntered": True}

    result = sample(point("MENSTRUATION_FLOW", value))

    assert (result.identifier, result.category) == ("HKCategoryTypeIdentifierMenstrualFlow", category)
    assert json.loads(result.metadata or "") == {"HKMenstrualCycleStart": False, "HKWasUserEntered": True}


@pytest.mark.parametrize(
    ("reason", "metadata"),
    [
        ("BASAL", {"HKInsulinDeliveryReason": 1}),
        ("BOLUS", {"HKInsulinDeliveryReason": 2}),
        ("NOT_SET", None),
        (None, None),
    ],
)
def test_insulin(reason: str | None, metadata: dict[str, int] | None) -> None:
    value = {"__type": "InsulinDeliveryHealthValue", "units": 4.5, "reason": reason}

    result = sample(point("INSULIN_DELIVERY", value, "INTERNATIONAL_UNIT"))

    assert (result.identifier, result.value) == ("HKQuantityTypeIdentifierInsulinDelivery", 4.5)
    assert json.loads(result.metadata or "null") == metadata


@pytest.mark.parametrize(
    ("activity", "category"), [("RUNNING", 37), ("RUNNING_TREADMILL", 37), ("OTHER", 3000), ("ZORBING", None)]
)
def test_a_workout_is_kept_whole(activity: str, category: int | None) -> None:
    value = {"__type": "WorkoutHealthValue", "workoutActivityType": activity, "totalDistance": 2000}
    element = point("WORKOUT", value, workoutSummary={"totalSteps": 0})

    result = sample(element)

    assert (result.identifier, result.category, result.value) == ("HKWorkoutTypeIdentifier", category, None)
    assert json.loads(result.details or "") == element


@pytest.mark.parametrize(
    ("name", "value", "unit", "identifier"),
    [
        (
            "AUDIOGRAM",
            {"__type": "AudiogramHealthValue", "frequencies": [1000.0]},
            "DECIBEL_HEARING_LEVEL",
            "HKDataTypeIdentifierAudiogram",
        ),
        (
            "ELECTROCARDIOGRAM",
            {"__type": "ElectrocardiogramHealthValue", "classification": "SINUS_RHYTHM"},
            "VOLT",
            "HKDataTypeIdentifierElectrocardiogram",
        ),
        (
            "NUTRITION",
            {"__type": "NutritionHealthValue", "calories": 500.0},
            "NO_UNIT",
            "HKCorrelationTypeIdentifierFood",
        ),
        ("WORKOUT", 3, "NO_UNIT", "HKWorkoutTypeIdentifier"),
        ("SKIN_TEMPERATURE", {"__type": "SkinTemperatureHealthValue"}, "DEGREE_CELSIUS", "SKIN_TEMPERATURE"),
        ("A_TYPE_OF_THE_FUTURE", None, None, "A_TYPE_OF_THE_FUTURE"),
    ],
)
def test_structures_are_kept_whole(name: str, value: object, unit: str | None, identifier: str) -> None:
    element = point(name, value, unit)

    result = sample(element)

    assert (result.identifier, result.known) == (identifier, identifier.startswith("HK"))
    assert json.loads(result.details or "") == element
    assert result.source is not None


@pytest.mark.parametrize(
    ("name", "value", "bulky", "series"),
    [
        (
            "ELECTROCARDIOGRAM",
            {
                "__type": "ElectrocardiogramHealthValue",
                "voltageValues": [{"__type": "ElectrocardiogramVoltageValue", "voltage": 1e-4}],
                "averageHeartRate": 61.0,
            },
            "voltageValues",
            "voltages",
        ),
        (
            "WORKOUT_ROUTE",
            {
                "__type": "WorkoutRouteHealthValue",
                "locations": [{"latitude": 52.5, "longitude": 13.4}],
                "workoutUuid": UUID_TEXT,
            },
            "locations",
            "locations",
        ),
        (
            "WORKOUT_ROUTE",
            {
                "__type": "WorkoutRouteHealthValue",
                "route": [{"latitude": 52.5, "longitude": 13.4}],
                "workoutUuid": None,
            },
            "route",
            "locations",
        ),
    ],
)
def test_bulky_members_are_kept_apart(name: str, value: dict[str, Any], bulky: str, series: str) -> None:
    result = sample(point(name, value))

    rest = {member: value[member] for member in value if member != bulky}
    assert [(each.name, each.points) for each in result.series] == [(series, 1)]
    assert json.loads(result.details or "") == point(name, rest)


def test_a_number_of_an_unknown_type_is_kept_in_healthkits_unit() -> None:
    result = sample(point("TOTAL_CALORIES_BURNED", numeric(8.5), "KILOCALORIE"))

    assert (result.known, result.value, result.unit) == (False, 8.5, "kcal")


def test_a_characteristic_has_no_uuid() -> None:
    kept = statistic(point("BLOOD_TYPE", numeric(7), uuid=""))

    assert (kept.identifier, kept.aggregation) == ("HKCharacteristicTypeIdentifierBloodType", "whole")
    assert (kept.value, kept.preference) == (7.0, kept.start.timestamp())
    assert kept.source == Source(name="Ada's Watch", bundle_id="com.apple.health.77")


def test_a_characteristic_that_cannot_be_placed_in_time() -> None:
    (outcome,) = parse(point("BLOOD_TYPE", numeric(7), dateFrom="soon"))

    assert outcome == Rejected(index=0, field="dateFrom", code="invalid_date", detail=reasons()["invalid_date"])


def test_statistics_are_the_envelopes() -> None:
    element = {
        "type": "HKQuantityTypeIdentifierStepCount",
        "aggregation": "sum",
        "start": "2026-07-01T00:00:00",
        "end": "2026-07-02T00:00:00",
        "value": 8421,
        "unit": "count",
    }

    good, bad = parse(element, element | {"start": "soon"}, section=Section.STATISTICS)

    assert isinstance(good, Statistics)
    assert [(each.aggregation, each.value) for each in good.values] == [("sum", 8421.0)]
    assert good.values[0].start == datetime(2026, 6, 30, 22, tzinfo=UTC)
    assert bad == Rejected(index=1, field="start", code="invalid_date", detail=reasons()["invalid_date"])


@pytest.mark.parametrize("uuid", ["", None])
def test_an_empty_uuid_is_none(uuid: str | None) -> None:
    assert sample(HEART_RATE | {"uuid": uuid}).uuid is None


@pytest.mark.parametrize(
    ("fields", "metadata"),
    [
        ({"recordingMethod": "manual"}, {"HKWasUserEntered": True}),
        (
            {"recordingMethod": "manual", "metadata": {"HKWasUserEntered": 0.0, "a": "b"}},
            {"HKWasUserEntered": 0.0, "a": "b"},
        ),
        ({"recordingMethod": "manual", "metadata": None}, {"HKWasUserEntered": True}),
        ({"recordingMethod": "active", "metadata": {}}, None),
        ({"recordingMethod": None, "metadata": {"a": [1]}}, {"a": [1]}),
    ],
)
def test_metadata(fields: dict[str, Any], metadata: object) -> None:
    assert json.loads(sample(HEART_RATE | fields).metadata or "null") == metadata


def test_metadata_of_one_record_do_not_leak_into_the_next() -> None:
    first, second, third = parse(HEART_RATE, HEART_RATE | {"recordingMethod": "manual"}, HEART_RATE)

    assert isinstance(first, Sample)
    assert isinstance(second, Sample)
    assert isinstance(third, Sample)
    assert [first.metadata, second.metadata, third.metadata] == [None, '{"HKWasUserEntered":true}', None]


def test_the_zone_in_the_metadata_beats_the_declared_one() -> None:
    result = sample(HEART_RATE | {"metadata": {"HKTimeZone": "Europe/Lisbon"}})

    assert (result.time_zone, result.zone_basis) == ("Europe/Lisbon", ZoneBasis.METADATA)
    assert result.start == datetime(2026, 7, 1, 7, tzinfo=UTC)


def test_dates_in_utc() -> None:
    result = sample(HEART_RATE | {"dateFrom": "2026-07-01T08:00:00.000Z", "dateTo": "2026-07-01T08:00:00.000Z"})

    assert (result.start, result.time_zone) == (datetime(2026, 7, 1, 8, tzinfo=UTC), "")


def test_the_phones_vendor_id_is_not_the_recorder() -> None:
    assert "vendor" not in repr(sample(HEART_RATE))


@pytest.mark.parametrize("source", [{"sourceId": None, "sourceName": None}, {"sourceId": "", "sourceName": ""}])
def test_a_source_that_says_nothing(source: dict[str, Any]) -> None:
    assert sample(HEART_RATE | source).source is None


def test_points_from_health_connect_are_read_the_same_way() -> None:
    assert sample(HEART_RATE | {"sourcePlatform": "googleHealthConnect"}).rank == sample(HEART_RATE).rank


@pytest.mark.parametrize(
    ("element", "field", "code"),
    [
        (3, "", "malformed_record"),
        ({}, "type", "missing_field"),
        (HEART_RATE | {"type": 3}, "type", "wrong_type"),
        (HEART_RATE | {"dateFrom": None}, "dateFrom", "wrong_type"),
        (HEART_RATE | {"dateFrom": "soon"}, "dateFrom", "invalid_date"),
        (HEART_RATE | {"dateTo": "2026-06-01T08:00:00.000"}, "dateTo", "end_before_start"),
        (HEART_RATE | {"uuid": "some-uuid"}, "uuid", "invalid_uuid"),
        (HEART_RATE | {"uuid": 3}, "uuid", "wrong_type"),
        (HEART_RATE | {"uuid": str(UUID(int=0))}, "uuid", "invalid_uuid"),
        (HEART_RATE | {"unit": None}, "unit", "missing_unit"),
        (HEART_RATE | {"unit": "FURLONG"}, "unit", "unit_unknown"),
        (HEART_RATE | {"unit": "COUNT"}, "unit", "unit_mismatch"),
        (HEART_RATE | {"unit": 1}, "unit", "wrong_type"),
        (HEART_RATE | {"value": None}, "value", "wrong_type"),
        (HEART_RATE | {"value": 72}, "value", "wrong_type"),
        (HEART_RATE | {"value": {"numericValue": 72}}, "value.__type", "value_class_unexpected"),
        (
            HEART_RATE | {"value": numeric(1) | {"__type": "AudiogramHealthValue"}},
            "value.__type",
            "value_class_unexpected",
        ),
        (HEART_RATE | {"value": numeric("72")}, "value.numericValue", "wrong_type"),
        (HEART_RATE | {"value": {"__type": "NumericHealthValue"}}, "value.numericValue", "missing_field"),
        (HEART_RATE | {"value": numeric(10**400)}, "value.numericValue", "number_out_of_range"),
        (point("APPLE_STAND_HOUR", numeric(0.5)), "value", "wrong_type"),
        (point("SLEEP_DEEP", {"__type": "WorkoutHealthValue"}), "value.__type", "value_class_unexpected"),
        (point("MENSTRUATION_FLOW", numeric(3)), "value.__type", "value_class_unexpected"),
        (
            point("MENSTRUATION_FLOW", {"__type": "MenstruationFlowHealthValue", "flow": "x"}),
            "value.flow",
            "value_unknown",
        ),
        (point("MENSTRUATION_FLOW", {"__type": "MenstruationFlowHealthValue", "flow": 3}), "value.flow", "wrong_type"),
        (point("INSULIN_DELIVERY", {"__type": "InsulinDeliveryHealthValue"}), "value.units", "missing_field"),
        (HEART_RATE | {"sourceName": "x" * 256}, "sourceName", "too_long"),
        (HEART_RATE | {"sourceId": "x\0"}, "sourceId", "nul_character"),
        (HEART_RATE | {"sourceId": 3}, "sourceId", "wrong_type"),
        (HEART_RATE | {"metadata": 3}, "metadata", "wrong_type"),
        (HEART_RATE | {"metadata": {"a": "\0"}}, "metadata", "nul_character"),
        (point("A_TYPE_OF_THE_FUTURE", {"a": "\0"}), "", "nul_character"),
    ],
)
def test_one_bad_record_never_sinks_its_neighbours(element: object, field: str, code: str) -> None:
    before, outcome, after = parse(HEART_RATE, element, HEART_RATE, first_index=5)

    assert isinstance(before, Sample)
    assert outcome == Rejected(index=6, field=field, code=code, detail=reasons()[code])
    assert isinstance(after, Sample)


def test_deletions_are_the_envelopes() -> None:
    assert parse({"uuid": UUID_TEXT}, section=Section.DELETIONS) == [Deletion(index=0, uuid=UUID(UUID_TEXT))]


CHARACTERISTICS = {
    name for name, known in names().types.items() if (known.identifier or "").startswith("HKCharacteristic")
}


@pytest.mark.parametrize("name", sorted(CHARACTERISTICS))
def test_every_characteristic_of_the_package_is_stored(name: str) -> None:
    kept = statistic(point(name, numeric(2.0)))

    assert (kept.identifier, kept.known, kept.value) == (names().types[name].identifier, True, 2.0)


@pytest.mark.parametrize("name", sorted(names().types.keys() - CHARACTERISTICS))
def test_every_name_of_the_package_is_stored(name: str) -> None:
    point_type = names().types[name]
    unit = next((flutter for flutter, hk in names().units.items() if hk == point_type.unit), "NO_UNIT")
    value = {"__type": point_type.value_class, "numericValue": 1.0, "units": 1.0, "flow": "light"}

    result = sample(point(name, value, unit))

    sample_type = shipped_registry().get(result.identifier)
    assert result.known == (sample_type is not None) == (point_type.identifier is not None)
    if sample_type is not None and sample_type.kind is SampleKind.QUANTITY:
        assert result.value is not None
    if sample_type is not None and sample_type.kind is SampleKind.CATEGORY:
        assert result.category is not None


def test_a_bare_array_is_an_envelope_of_samples() -> None:
    envelope = FlutterFormat().split(json.dumps([HEART_RATE]).encode(), time_zone="Europe/Berlin")

    assert [json.loads(bytes(raw)) for raw in envelope.records[Section.SAMPLES]] == [HEART_RATE]
    assert (envelope.time_zone, envelope.lane, envelope.device) == ("Europe/Berlin", None, None)


def test_an_envelope() -> None:
    body = {"format": "flutter", "time_zone": "Europe/Berlin", "samples": [HEART_RATE], "device": {"id": "x"}}

    envelope = FlutterFormat().split(json.dumps(body).encode(), time_zone=None)

    assert len(envelope.records[Section.SAMPLES]) == 1
    assert envelope.device == {"id": "x"}


@pytest.mark.parametrize(
    ("body", "recognised"),
    [
        ([], True),
        ([HEART_RATE], True),
        ([3, {}, HEART_RATE], True),
        ([{"sourcePlatform": "appleHealth"}], True),
        ([{"type": "HKQuantityTypeIdentifierStepCount", "start": "x"}], False),
        ([3], False),
        ({"format": "flutter"}, True),
        ({"samples": [], "format": "flutter"}, True),
        ({"samples": [HEART_RATE]}, True),
        ({"samples": [HEART_RATE], "format": "healthkit"}, False),
        ({"samples": [{"type": "HKQuantityTypeIdentifierStepCount", "start": "x"}]}, False),
        ({"samples": []}, False),
        ({}, False),
        ("x", False),
    ],
)
def test_recognises(body: object, recognised: bool) -> None:
    assert FlutterFormat().recognises(json.dumps(body).encode()) is recognised


@pytest.mark.parametrize("body", [b"", b"\xff", b"[", b"[" * 200_000, b'["\xff"]', b"\0"])
def test_recognising_never_raises(body: bytes) -> None:
    assert FlutterFormat().recognises(body) is False
