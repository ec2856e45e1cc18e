"""Whatever a client sends: one outcome per record, no exception, nothing of it in an error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from django_healthkit_ingest.core.formats.base import Format
from django_healthkit_ingest.core.formats.envelope import join
from django_healthkit_ingest.core.formats.flutter import FlutterFormat
from django_healthkit_ingest.core.formats.healthkit import HealthKitFormat
from django_healthkit_ingest.core.formats.open_wearables import OpenWearablesFormat
from django_healthkit_ingest.core.formats.react_native import ReactNativeHealthKitFormat
from django_healthkit_ingest.core.registry import shipped_registry
from django_healthkit_ingest.core.rejections import reasons
from django_healthkit_ingest.core.samples import Rejected, Sample, Section
from django_healthkit_ingest.exceptions import InvalidBody

TEXTS = st.text(max_size=12) | st.sampled_from(["\0", "\ud83d", "x" * 300, "2021-03-04T05:06:07Z", "2021-03-04T05:06"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**31, 2**63, 2**64, -(2**70), 10**400, 1e308, -0.0])
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
INSTANTS = st.sampled_from(
    ["2021-03-04T05:06:07Z", "2021-03-04T05:06:07", "2026-10-25T02:30:00.5", "1800-01-01T00:00:00Z"]
)
UUIDS = st.uuids().map(str) | TEXTS
HEALTHKIT_RECORDS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            [
                "HKQuantityTypeIdentifierHeartRate",
                "HKQuantityTypeIdentifierBodyTemperature",
                "HKCategoryTypeIdentifierSleepAnalysis",
                "HKCategoryTypeIdentifierMindfulSession",
                "HKWorkoutTypeIdentifier",
                "SomethingElse",
            ]
        )
        | JSON,
        "start": INSTANTS | JSON,
    },
    optional={
        "end": INSTANTS | JSON,
        "uuid": UUIDS | JSON,
        "time_zone": st.sampled_from(["Europe/Berlin", "UTC"]) | JSON,
        "value": st.floats(allow_nan=False, allow_infinity=False) | JSON,
        "unit": st.sampled_from(["count/min", "count/s", "degF", "", "kg"]) | JSON,
        "category": st.integers(0, 9) | JSON,
        "metadata": JSON | st.dictionaries(TEXTS, JSON, max_size=3),
        "source": JSON | st.fixed_dictionaries({}, optional={"name": JSON, "bundle_id": TEXTS}),
        "device": JSON | st.fixed_dictionaries({}, optional={"name": JSON, "udi": TEXTS}),
        "other": JSON,
    },
)
FLUTTER_RECORDS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            ["HEART_RATE", "SLEEP_DEEP", "MENSTRUATION_FLOW", "INSULIN_DELIVERY", "WORKOUT", "BLOOD_TYPE", "SPEED"]
        )
        | JSON,
        "dateFrom": INSTANTS | JSON,
        "value": JSON
        | st.fixed_dictionaries(
            {
                "__type": st.sampled_from(
                    [
                        "NumericHealthValue",
                        "MenstruationFlowHealthValue",
                        "InsulinDeliveryHealthValue",
                        "WorkoutHealthValue",
                    ]
                )
            },
            optional={"numericValue": JSON, "flow": JSON, "units": JSON, "reason": JSON, "workoutActivityType": JSON},
        ),
    },
    optional={
        "dateTo": INSTANTS | JSON,
        "uuid": UUIDS | JSON,
        "unit": st.sampled_from(["BEATS_PER_MINUTE", "MINUTE", "NO_UNIT"]) | JSON,
        "sourceId": TEXTS | JSON,
        "sourceName": TEXTS | JSON,
        "recordingMethod": st.sampled_from(["manual", "automatic"]) | JSON,
        "metadata": JSON | st.dictionaries(TEXTS, JSON, max_size=3),
    },
)
OLDER_FLUTTER_RECORDS = st.fixed_dictionaries(
    {
        "value": JSON
        | st.dictionaries(
            st.sampled_from(["__type", "numericValue", "numeric_value", "frequencies", "voltage_values", "flow"]), JSON
        ),
    },
    optional={
        "data_type": st.sampled_from(["heart_rate", "SLEEP_DEEP", "menstruation_flow", "WORKOUT"]) | JSON,
        "type": st.sampled_from(["HEART_RATE", "AUDIOGRAM"]) | JSON,
        "date_from": INSTANTS | JSON,
        "date_to": INSTANTS | JSON,
        "dateFrom": INSTANTS | JSON,
        "unit": st.sampled_from(["beats_per_minute", "MINUTE"]) | JSON,
        "platform_type": st.sampled_from(["ios", "android"]) | JSON,
        "platform": JSON,
        "source_id": TEXTS | JSON,
        "source_name": TEXTS | JSON,
        "is_manual_entry": st.booleans() | JSON,
        "workout_summary": JSON,
        "metadata": JSON,
    },
)
REACT_NATIVE_RECORDS = st.fixed_dictionaries(
    {"startDate": INSTANTS | JSON},
    optional={
        "endDate": INSTANTS | JSON,
        "uuid": UUIDS | JSON,
        "quantityType": st.sampled_from(["HKQuantityTypeIdentifierHeartRate", "Else"]) | JSON,
        "categoryType": st.sampled_from(["HKCategoryTypeIdentifierSleepAnalysis", "Else"]) | JSON,
        "correlationType": st.sampled_from(["HKCorrelationTypeIdentifierFood"]) | JSON,
        "sampleType": st.fixed_dictionaries({"identifier": TEXTS | JSON}) | JSON,
        "quantity": st.floats(allow_nan=False, allow_infinity=False) | JSON,
        "unit": st.sampled_from(["count/min", "kg", "%"]) | JSON,
        "value": st.integers(0, 9) | JSON,
        "workoutActivityType": st.integers(0, 90) | JSON,
        "valence": JSON,
        "metadata": JSON | st.dictionaries(TEXTS, JSON, max_size=3),
        "sourceRevision": JSON
        | st.fixed_dictionaries(
            {}, optional={"source": JSON | st.dictionaries(st.just("name"), JSON), "version": JSON}
        ),
        "device": JSON | st.fixed_dictionaries({}, optional={"hardwareVersion": JSON, "name": TEXTS}),
    },
)
OPEN_WEARABLES_RECORDS = st.fixed_dictionaries(
    {"startDate": INSTANTS | JSON},
    optional={
        "endDate": INSTANTS | JSON,
        "id": UUIDS | JSON,
        "type": st.sampled_from(
            ["HKQuantityTypeIdentifierOxygenSaturation", "HKCategoryTypeIdentifierHeadache", "hiit"]
        )
        | JSON,
        "zoneOffset": st.sampled_from(["+01:00", "-23:59", "+99:99"]) | JSON,
        "value": st.floats(allow_nan=False, allow_infinity=False) | JSON,
        "unit": st.sampled_from(["%", "bpm", "Cal"]) | JSON,
        "stage": st.sampled_from(["deep", "light"]) | JSON,
        "values": JSON,
        "metadata": JSON | st.lists(st.fixed_dictionaries({"key": TEXTS, "value": JSON}), max_size=3),
        "source": JSON
        | st.fixed_dictionaries({}, optional={"appId": JSON, "deviceName": TEXTS, "operatingSystemVersion": JSON}),
    },
)
FORMATS = [HealthKitFormat(), FlutterFormat(), ReactNativeHealthKitFormat(), OpenWearablesFormat()]


FIELDS = {
    "", "type", "uuid", "start", "end", "time_zone", "value", "unit", "category", "metadata", "source", "device",
    "source.name", "source.bundle_id", "device.name", "device.udi", "dateFrom", "dateTo", "sourceId", "sourceName",
    "recordingMethod", "value.__type", "value.numericValue", "value.flow", "value.units", "value.reason",
    "data_type", "date_from", "date_to", "source_id", "source_name", "is_manual_entry", "value.numeric_value",
    "startDate", "endDate", "quantityType", "categoryType", "correlationType", "sampleType", "sampleType.identifier",
    "quantity", "workoutActivityType", "sourceRevision", "sourceRevision.version", "sourceRevision.source",
    "sourceRevision.source.name", "device.hardwareVersion", "id", "zoneOffset", "stage", "source.appId",
    "source.deviceName", "source.operatingSystemVersion",
}  # fmt: skip


def check(wire: Format, elements: list[Any], *, section: Section) -> None:
    outcomes = list(
        wire.parse(
            json.dumps(elements).encode(),
            section=section,
            first_index=3,
            time_zone=None,
            registry=shipped_registry(),
        )
    )

    assert [outcome.index for outcome in outcomes] == list(range(3, 3 + len(elements)))
    for outcome in outcomes:
        if isinstance(outcome, Rejected):
            # All an error says is chosen from what this package wrote down, so nothing that was sent can be in it.
            assert outcome.detail == reasons()[outcome.code]
            assert outcome.field in FIELDS
        if isinstance(outcome, Sample):
            for text in (outcome.metadata, outcome.details):
                assert text is None or isinstance(json.loads(text), dict)
            assert 0 <= outcome.rank < 2**63


@pytest.mark.parametrize("wire", FORMATS, ids=lambda wire: wire.name)
@pytest.mark.parametrize("section", list(Section))
@given(elements=st.lists(JSON, max_size=4))
@settings(max_examples=60, deadline=None)
def test_any_json(wire: Format, section: Section, elements: list[Any]) -> None:
    check(wire, elements, section=section)


@given(elements=st.lists(HEALTHKIT_RECORDS, min_size=1, max_size=3))
@settings(max_examples=300, deadline=None)
@example(elements=[{"type": "x", "start": "2026-01-01T08:00:00Z", "category": 10**400}])
def test_nearly_healthkit(elements: list[Any]) -> None:
    check(HealthKitFormat(), elements, section=Section.SAMPLES)


@given(elements=st.lists(FLUTTER_RECORDS, min_size=1, max_size=3))
@settings(max_examples=300, deadline=None)
def test_nearly_flutter(elements: list[Any]) -> None:
    check(FlutterFormat(), elements, section=Section.SAMPLES)


@given(elements=st.lists(OLDER_FLUTTER_RECORDS, min_size=1, max_size=3))
@settings(max_examples=300, deadline=None)
def test_nearly_older_flutter(elements: list[Any]) -> None:
    check(FlutterFormat(), elements, section=Section.SAMPLES)


@given(elements=st.lists(REACT_NATIVE_RECORDS, min_size=1, max_size=3))
@settings(max_examples=300, deadline=None)
def test_nearly_react_native(elements: list[Any]) -> None:
    check(ReactNativeHealthKitFormat(), elements, section=Section.SAMPLES)


@given(elements=st.lists(OPEN_WEARABLES_RECORDS, min_size=1, max_size=3))
@settings(max_examples=300, deadline=None)
def test_nearly_open_wearables(elements: list[Any]) -> None:
    check(OpenWearablesFormat(), elements, section=Section.SAMPLES)


@pytest.mark.parametrize("wire", FORMATS, ids=lambda wire: wire.name)
@given(
    body=st.binary(max_size=40)
    | JSON.map(json.dumps).map(str.encode)
    | st.fixed_dictionaries(
        {"samples": JSON | st.lists(JSON, max_size=3)},
        optional={"time_zone": JSON, "device": JSON, "lane": JSON, "version": JSON, "format": JSON, "deletions": JSON},
    )
    .map(json.dumps)
    .map(str.encode)
    | st.fixed_dictionaries(
        {"provider": st.just("apple") | JSON},
        optional={
            "data": JSON
            | st.dictionaries(st.sampled_from(["records", "sleep", "workouts"]), st.lists(JSON, max_size=3)),
            "sdkVersion": JSON,
            "deletedSamples": st.lists(JSON, max_size=2),
            "workouts": JSON | st.lists(JSON, max_size=3),
            "newAnchor": JSON,
        },
    )
    .map(json.dumps)
    .map(str.encode)
)
@settings(max_examples=150, deadline=None)
def test_any_body(wire: Format, body: bytes) -> None:
    assert wire.recognises(body) in {True, False}
    try:
        envelope = wire.split(body, time_zone=None)
    except InvalidBody:
        return
    for section, raws in envelope.records.items():
        outcomes = wire.parse(
            join(raws), section=section, first_index=0, time_zone=envelope.time_zone, registry=shipped_registry()
        )
        assert len(list(outcomes)) == len(raws)
