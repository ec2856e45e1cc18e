from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_healthkit_ingest.conf import SHIPPED_FORMATS
from django_healthkit_ingest.core.formats.base import Format
from django_healthkit_ingest.core.formats.envelope import join
from django_healthkit_ingest.core.formats.flutter import FlutterFormat
from django_healthkit_ingest.core.formats.healthkit import HealthKitFormat
from django_healthkit_ingest.core.formats.open_wearables import OpenWearablesFormat
from django_healthkit_ingest.core.formats.react_native import ReactNativeHealthKitFormat
from django_healthkit_ingest.core.registry import shipped_registry
from django_healthkit_ingest.core.rejections import reasons
from django_healthkit_ingest.core.samples import Rejected, Sample, Section, Statistics
from django_healthkit_ingest.exceptions import InvalidBody, InvalidEnvelope, MalformedBody, TimeZoneRequired
from tests.unit.formats import examples
from tests.unit.formats.health_auto_export_examples import EIGHT, NINE, WIRE, metric, parse, rejected, split

STAGE = {"startDate": EIGHT, "endDate": NINE, "qty": 1, "value": "Deep", "source": "Watch"}
WORKOUT = {"name": "Yoga", "start": EIGHT, "end": NINE}
STEPS = {"date": EIGHT, "qty": 12, "source": "Watch"}
BODIES: list[Any] = [
    {"data": {}},
    {"data": {"metrics": [], "workouts": []}},
    {"data": metric("step_count", "count", STEPS)},
    {"data": {"ecg": None}, "workouts": []},
    {"format": "health_auto_export", "data": {"newThings": [{"date": EIGHT}]}},
]
FOREIGN: list[Any] = [
    examples.healthkit(examples.HISTORY),
    examples.flutter_11(examples.HISTORY),
    examples.open_wearables(examples.HISTORY),
    {"provider": "apple", "data": {"workouts": []}},
    {"format": "healthkit", "samples": [], "data": {}},
    {"samples": [], "data": {}},
    {"data": {"records": []}},
    {"data": []},
    {"data": None},
    {"metrics": []},
    [],
    3,
]
OTHERS: list[Format] = [HealthKitFormat(), FlutterFormat(), ReactNativeHealthKitFormat(), OpenWearablesFormat()]


def test_it_is_shipped() -> None:
    assert f"{type(WIRE).__module__}.{type(WIRE).__qualname__}" in SHIPPED_FORMATS


@pytest.mark.parametrize("body", BODIES)
def test_its_bodies_are_recognised_by_no_other_format(body: object) -> None:
    text = json.dumps(body).encode()

    assert WIRE.recognises(text)
    assert not any(other.recognises(text) for other in OTHERS)


@pytest.mark.parametrize("body", FOREIGN)
def test_other_bodies_are_not_recognised(body: object) -> None:
    assert not WIRE.recognises(json.dumps(body).encode())


@pytest.mark.parametrize("body", [b"", b"{", b'{"data":', b"\xff", b'{"data":{"metrics":[\xff]}}', b"[" * 100_000])
def test_what_is_not_json_is_not_recognised(body: bytes) -> None:
    assert not WIRE.recognises(body)


@pytest.mark.parametrize("data", [{}, {"metrics": None, "workouts": []}, metric("step_count", "count")])
def test_an_empty_body(data: dict[str, Any]) -> None:
    assert split({"data": data}).records == {}


def test_points_of_metrics_are_statistics_and_all_else_samples() -> None:
    data = {
        "symptoms": [{"name": "Fever"}],
        "newThings": [{"date": EIGHT}],
        "workouts": [WORKOUT],
        "metrics": [
            {"name": "sleep_analysis", "units": "hr", "data": [STAGE]},
            {"name": "step_count", "units": "count", "data": [STEPS, STEPS]},
            {"name": "heart_rate", "units": "bpm", "data": [{"date": EIGHT, "Avg": 60}]},
        ],
    }

    envelope = split({"data": data})

    points = [json.loads(bytes(raw)) for raw in envelope.records[Section.STATISTICS]]
    records = [json.loads(bytes(raw)) for raw in envelope.records[Section.SAMPLES]]
    assert [point["name"] for point in points] == ["step_count", "step_count", "heart_rate"]
    assert points[0] == {"name": "step_count", "units": "count", "point": STEPS}
    assert records[0] == {"kind": "sleep_analysis", "record": STAGE}
    assert [record["kind"] for record in records] == ["sleep_analysis", "workouts", "symptoms", "newThings"]
    assert (envelope.client, envelope.time_zone, envelope.lane) == ({"name": "health-auto-export"}, None, None)


def test_a_point_is_not_written_anew() -> None:
    body = b'{"data":{"metrics":[{"units":"kcal","name":"active_energy","data":[{"qty":0.10000000000000000001 }]}]}}'

    (raw,) = WIRE.split(body, time_zone=None).records[Section.STATISTICS]

    assert b'{"qty":0.10000000000000000001 }' in bytes(raw)


def test_unaggregated_and_aggregated_sleep_in_one_metric() -> None:
    night = {"date": "2026-01-05", "totalSleep": 7, "sleepStart": EIGHT}

    records = split({"data": metric("sleep_analysis", "hr", night, STAGE)}).records

    assert {section: len(raws) for section, raws in records.items()} == {Section.SAMPLES: 1, Section.STATISTICS: 1}


def test_what_is_ignored_is_said() -> None:
    data = {"alien": 3, "empty": [], "mixed": [1, {}], "x" * 100: [{"date": EIGHT}], "line\n": [{"date": EIGHT}]}

    envelope = split({"workouts": [], "data": data})

    assert envelope.records == {}
    assert envelope.warnings == (
        "workouts",
        "data.alien",
        "data.empty",
        "data.mixed",
        f"data.{'x' * 59}",
        "(unprintable)",
    )


def test_what_is_no_metric_is_one_rejection() -> None:
    faults = [
        (7, ("", "malformed_record")),
        ({"name": "step_count", "units": "count", "data": {}}, ("data", "wrong_type")),
        ({"name": 3, "units": "count", "data": [STEPS]}, ("name", "wrong_type")),
        ({"units": "count", "data": [STEPS]}, ("name", "missing_field")),
        ({"name": "", "units": "count", "data": [STEPS]}, ("name", "missing_field")),
        ({"name": "a\nb", "units": "count", "data": [STEPS]}, ("name", "control_character")),
        ({"name": "x" * 200, "units": "count", "data": [STEPS]}, ("name", "too_long")),
        ({"name": "x" * 2000, "units": "count", "data": [STEPS, STEPS]}, ("name", "too_long")),
        ({"name": "step_count", "units": ["count"], "data": [STEPS]}, ("units", "wrong_type")),
        ({"name": "step_count", "units": "count", "data": [7]}, ("", "malformed_record")),
    ]

    assert [rejected({"metrics": [each]}) for each, _ in faults] == [fault for _, fault in faults]


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"data": {"metrics": {}}}, ["/data/metrics"]),
        ({"data": {"workouts": "x", "ecg": 3}}, ["/data/workouts", "/data/ecg"]),
        ({"format": 3, "data": {}}, ["/format"]),
        ({"format": "healthkit", "data": {}}, ["/format"]),
        ({"data": []}, []),
        ({}, []),
        ([], []),
    ],
)
def test_a_wrong_envelope(body: object, pointers: list[str]) -> None:
    with pytest.raises(InvalidEnvelope) as caught:
        split(body)

    assert [error.pointer for error in caught.value.errors] == pointers


def test_a_body_of_another_name() -> None:
    with pytest.raises(InvalidEnvelope) as caught:
        split({"format": "healthkit", "data": {}})

    assert [error.code for error in caught.value.errors] == ["format_mismatch"]


@pytest.mark.parametrize("body", [b"", b'{"data":', b'{"data":{"metrics":[NaN]}}', b"\xff"])
def test_a_malformed_body(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        WIRE.split(body, time_zone=None)


def test_an_unknown_zone() -> None:
    with pytest.raises(InvalidEnvelope):
        split({"data": {}}, time_zone="Europe/Atlantis")


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        (
            metric("step_count", "count", STEPS, STEPS | {"date": "2026-01-05 8:00:00 AM"}),
            "/data/metrics/0/data/1/date",
        ),
        (metric("step_count", "count", {"date": "2026-01-05", "qty": 1}), "/data/metrics/0/data/0/date"),
        (metric("sleep_analysis", "hr", {"date": "2026-01-05", "asleep": 1}), "/data/metrics/0/data/0/date"),
        ({"workouts": [WORKOUT | {"end": "2026-01-05 08:30:00"}]}, "/data/workouts/0/end"),
    ],
)
def test_a_date_without_offset_needs_a_zone(data: dict[str, Any], pointer: str) -> None:
    with pytest.raises(TimeZoneRequired) as caught:
        split({"data": data})

    assert [error.pointer for error in caught.value.errors] == [pointer]
    assert not any(isinstance(outcome, Rejected) for outcome in parse(data, time_zone="Europe/Berlin"))


TEXTS = st.text(max_size=12) | st.sampled_from(["\0", "\ud83d", "x" * 300, EIGHT, "2026-01-05", "Mild", "step_count"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
EXTREMES = st.sampled_from([2**64, -(10**400), 1e308, -0.0])
JSON = st.recursive(
    SCALARS | EXTREMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
DATES = st.sampled_from(
    [EIGHT, "2026-01-05", "2026-01-05 3:04:05\u202fpm -0700", "2026-02-30 08:00:00 +0100", "9999-12-31"]
)
POINTS = st.fixed_dictionaries(
    {"date": DATES | JSON},
    optional={
        "qty": JSON, "Min": JSON, "Avg": JSON, "systolic": JSON, "mealTime": JSON, "value": JSON, "source": JSON,
        "totalSleep": JSON, "inBed": JSON, "sleepStart": DATES | JSON, "inBedSource": JSON, "endDate": DATES | JSON,
        "startDate": DATES | JSON, "Protection Used": JSON, "reason": JSON,
    },
)  # fmt: skip
METRIC_RECORDS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(
            ["step_count", "heart_rate", "blood_pressure", "blood_glucose", "sleep_analysis", "sexual_activity", "new"]
        )
        | JSON,
        "units": st.sampled_from(["count", "bpm", "mmHg", "mmol/L", "hr", "%"]) | JSON,
    },
    optional={"point": POINTS | JSON, "data": JSON},
)
METRICS = st.fixed_dictionaries({"name": JSON, "units": JSON, "data": JSON | st.lists(POINTS | JSON, max_size=3)})
ARRAY_RECORDS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["workouts", "stateOfMind", "ecg", "symptoms", "heartRateNotifications", "new"]) | JSON,
        "record": st.fixed_dictionaries(
            {"start": DATES | JSON},
            optional={
                "end": DATES | JSON,
                "id": JSON,
                "name": st.sampled_from(["Fever", "Running"]) | JSON,
                "severity": JSON,
                "route": JSON,
                "voltageMeasurements": JSON,
                "source": JSON,
                "metadata": JSON,
                "userEntered": JSON,
                "heartNotification": st.just("low_heart_rate_notification") | JSON,
                "threshold": JSON,
            },
        )
        | JSON,
    }
)
FIELDS = {
    "", "name", "units", "data", "date", "start", "end", "startDate", "endDate", "scheduledDate", "source", "id",
    "qty", "Min", "Avg", "Max", "min", "avg", "max", "systolic", "diastolic", "mealTime", "reason", "value",
    "severity", "totalSleep", "asleep", "core", "deep", "rem", "awake", "inBed", "sleepStart", "sleepEnd",
    "inBedStart", "inBedEnd", "sleepSource", "inBedSource", "Unspecified", "Protection Used", "Protection Not Used",
    "heartNotification", "threshold", "threshhold", "metadata", "type", "route", "voltageMeasurements",
    "bundleIdentifier", "identifier",
}  # fmt: skip


@pytest.mark.parametrize("section", [Section.SAMPLES, Section.STATISTICS])
@given(elements=st.lists(JSON | METRIC_RECORDS | ARRAY_RECORDS, max_size=3))
@settings(max_examples=400, deadline=None)
def test_any_records(section: Section, elements: list[Any]) -> None:
    text = json.dumps(elements).encode()

    outcomes = list(WIRE.parse(text, section=section, first_index=5, time_zone=None, registry=shipped_registry()))

    assert [outcome.index for outcome in outcomes] == list(range(5, 5 + len(elements)))
    for outcome in outcomes:
        if isinstance(outcome, Rejected):
            assert (outcome.detail, outcome.field in FIELDS) == (reasons()[outcome.code], True), outcome.field
        elif isinstance(outcome, Sample):
            assert all(json.loads(text) for text in (outcome.details, outcome.metadata) if text is not None)
        else:
            assert isinstance(outcome, Statistics)
            keys = [value.key for value in outcome.values]
            assert keys
            assert len(set(keys)) == len(keys)
            assert all("\\u0000" not in (value.details or "") for value in outcome.values)


@given(
    body=st.binary(max_size=40)
    | st.fixed_dictionaries(
        {
            "data": JSON
            | st.dictionaries(
                st.sampled_from(["metrics", "workouts", "ecg", "symptoms", "new"]),
                JSON
                | st.lists(
                    JSON | METRICS,
                    max_size=3,
                ),
                max_size=3,
            )
        },
        optional={"format": JSON, "workouts": JSON},
    ).map(lambda body: json.dumps(body).encode())
)  # fmt: skip
@settings(max_examples=400, deadline=None)
def test_any_body(body: bytes) -> None:
    assert WIRE.recognises(body) in {True, False}
    try:
        envelope = WIRE.split(body, time_zone=None)
    except InvalidBody:
        return
    for section, raws in envelope.records.items():
        outcomes = WIRE.parse(join(raws), section=section, first_index=0, time_zone=None, registry=shipped_registry())
        assert len(list(outcomes)) == len(raws)
