from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator

from django_healthkit_ingest.core.formats.healthkit import HealthKitFormat
from django_healthkit_ingest.core.registry import SampleKind, SampleType, SampleTypeRegistry, shipped_registry
from django_healthkit_ingest.core.rejections import reasons
from django_healthkit_ingest.core.samples import (
    Deletion,
    Device,
    Parsed,
    Rejected,
    Sample,
    Section,
    Source,
    ZoneBasis,
)
from django_healthkit_ingest.exceptions import InvalidBody, MalformedBody

UUID_TEXT = "5013C1D2-AAAA-4000-8000-000000000001"
HEART_RATE: dict[str, Any] = {
    "uuid": UUID_TEXT,
    "time_zone": "Europe/Lisbon",
    "type": "HKQuantityTypeIdentifierHeartRate",
    "start": "2026-01-01T08:00:00.123+01:00",
    "end": "2026-01-01T08:00:05.000+01:00",
    "value": 72,
    "unit": "count/min",
    "metadata": {"HKMetadataKeyHeartRateMotionContext": 1},
    "source": {
        "name": "Apple Watch",
        "bundle_id": "com.apple.health.32FA",
        "version": "11.1",
        "product_type": "Watch7,11",
        "system_version": "11.1.0",
    },
    "device": {"name": "Apple Watch", "manufacturer": "Apple Inc.", "model": "Watch", "hardware": "Watch7,11"},
}
FLOW: dict[str, Any] = {
    "uuid": "9C1E0000-AAAA-4000-8000-000000000002",
    "type": "HKCategoryTypeIdentifierMenstrualFlow",
    "start": "2026-01-01T00:00:00Z",
    "category": 3,
    "metadata": {"HKMenstrualCycleStart": True},
}
ECG: dict[str, Any] = {
    "type": "HKElectrocardiogramType",
    "start": "2026-01-01T00:00:00Z",
    "value": {"classification": 1},
    "unit": 3,
    "category": "sinus",
    "voltages": [0.1, 0.2],
}


def parse(
    *elements: object, section: Section = Section.SAMPLES, first_index: int = 0, time_zone: str | None = None
) -> list[Parsed]:
    return list(
        HealthKitFormat().parse(
            json.dumps(elements).encode(),
            section=section,
            first_index=first_index,
            time_zone=time_zone,
            registry=shipped_registry(),
        )
    )


def sample(element: object, **keywords: Any) -> Sample:
    (outcome,) = parse(element, **keywords)
    assert isinstance(outcome, Sample), outcome
    return outcome


def test_a_quantity() -> None:
    result = sample(HEART_RATE, first_index=17)

    assert (result.index, result.identifier, result.known) == (17, "HKQuantityTypeIdentifierHeartRate", True)
    assert result.uuid == UUID(UUID_TEXT)
    assert result.start == datetime(2026, 1, 1, 7, 0, 0, 123_000, tzinfo=UTC)
    assert result.end == datetime(2026, 1, 1, 7, 0, 5, tzinfo=UTC)
    assert (result.time_zone, result.zone_basis) == ("Europe/Lisbon", ZoneBasis.METADATA)
    assert (result.value, result.unit, result.category) == (72.0, "", None)
    assert result.metadata == '{"HKMetadataKeyHeartRateMotionContext": 1}'
    assert result.details is None
    assert result.source == Source(
        name="Apple Watch",
        bundle_id="com.apple.health.32FA",
        version="11.1",
        product_type="Watch7,11",
        system_version="11.1.0",
        device=Device(name="Apple Watch", manufacturer="Apple Inc.", model="Watch", hardware="Watch7,11"),
    )
    assert result.rank >> 57 == HealthKitFormat.fidelity


def test_a_category() -> None:
    result = sample(FLOW)

    assert (result.category, result.value, result.end) == (3, None, result.start)
    assert (result.source, result.details) == (None, None)


def test_a_structure_is_kept_whole_whatever_it_holds() -> None:
    result = sample(ECG)

    assert result.identifier == "HKDataTypeIdentifierElectrocardiogram"
    assert (result.value, result.unit, result.category) == (None, "", None)
    assert json.loads(result.details or "") == {name: ECG[name] for name in ECG if name != "voltages"}
    assert [(each.name, each.points) for each in result.series] == [("voltages", 2)]


def test_a_type_of_the_future_is_kept_whole() -> None:
    element = HEART_RATE | {"type": "HKQuantityTypeIdentifierOfTheFuture", "unit": "furlong", "category": 4.0}

    result = sample(element)

    assert not result.known
    assert (result.value, result.unit, result.category) == (72.0, "furlong", 4)
    assert json.loads(result.details or "") == element
    assert result.source is not None


def test_the_registry_decides_what_is_known() -> None:
    registry = SampleTypeRegistry(
        [SampleType(identifier="AcmeScore", kind=SampleKind.QUANTITY, canonical_unit="count", aliases=("score",))]
    )
    element = {"type": "score", "start": "2026-01-01T00:00:00Z", "value": 3, "unit": ""}

    (result,) = HealthKitFormat().parse(
        json.dumps([element]).encode(),
        section=Section.SAMPLES,
        first_index=0,
        time_zone=None,
        registry=registry,
    )

    assert isinstance(result, Sample)
    assert (result.identifier, result.value, result.details) == ("AcmeScore", 3.0, None)


def test_a_naive_date_is_read_in_the_declared_zone() -> None:
    element = HEART_RATE | {"start": "2026-07-01T08:00:00", "end": None, "time_zone": None}

    result = sample(element, time_zone="Europe/Berlin")

    assert result.start == result.end == datetime(2026, 7, 1, 6, tzinfo=UTC)
    assert (result.time_zone, result.zone_basis) == ("Europe/Berlin", ZoneBasis.DECLARED)


def test_one_app_on_two_devices_is_two_sources() -> None:
    other = HEART_RATE | {"device": {"name": "Other Watch"}}

    sources = [outcome.source for outcome in parse(HEART_RATE, other, HEART_RATE) if isinstance(outcome, Sample)]

    assert [source.device.name for source in sources if source and source.device] == [
        "Apple Watch", "Other Watch", "Apple Watch",
    ]  # fmt: skip


@pytest.mark.parametrize("empty", [None, {}, {"name": None}, {"name": "", "future": 3}])
def test_a_source_and_device_that_say_nothing(empty: object) -> None:
    assert sample(HEART_RATE | {"source": empty, "device": empty}).source is None


@pytest.mark.parametrize("empty", [None, {}])
def test_metadata_that_say_nothing(empty: object) -> None:
    assert sample(HEART_RATE | {"metadata": empty}).metadata is None


@pytest.mark.parametrize(
    ("element", "field", "code"),
    [
        (3, "", "malformed_record"),
        ([HEART_RATE], "", "malformed_record"),
        (None, "", "malformed_record"),
        ({}, "type", "missing_field"),
        ({"type": "Acme"}, "start", "missing_field"),
        (HEART_RATE | {"type": 3}, "type", "wrong_type"),
        (HEART_RATE | {"type": None}, "type", "wrong_type"),
        (HEART_RATE | {"type": ""}, "type", "missing_field"),
        (HEART_RATE | {"start": 1767250800}, "start", "wrong_type"),
        (HEART_RATE | {"start": None}, "start", "wrong_type"),
        (HEART_RATE | {"end": "x"}, "end", "invalid_date"),
        (HEART_RATE | {"end": "2025-01-01T00:00:00Z"}, "end", "end_before_start"),
        (HEART_RATE | {"start": "2026-01-01T08:00:00", "end": None, "time_zone": None}, "start", "naive_date"),
        (HEART_RATE | {"time_zone": "Atlantis"}, "time_zone", "invalid_time_zone"),
        (HEART_RATE | {"time_zone": 1}, "time_zone", "wrong_type"),
        (HEART_RATE | {"uuid": "x"}, "uuid", "invalid_uuid"),
        (HEART_RATE | {"uuid": ""}, "uuid", "invalid_uuid"),
        (HEART_RATE | {"uuid": str(UUID(int=0))}, "uuid", "invalid_uuid"),
        (HEART_RATE | {"uuid": 7}, "uuid", "wrong_type"),
        (HEART_RATE | {"value": "72"}, "value", "wrong_type"),
        (HEART_RATE | {"value": True}, "value", "wrong_type"),
        (HEART_RATE | {"value": 10**400}, "value", "number_out_of_range"),
        (HEART_RATE | {"value": None}, "value", "missing_field"),
        (HEART_RATE | {"unit": None}, "unit", "missing_unit"),
        (HEART_RATE | {"unit": 1}, "unit", "wrong_type"),
        (HEART_RATE | {"unit": "parsec"}, "unit", "unit_unknown"),
        (HEART_RATE | {"unit": "kg"}, "unit", "unit_mismatch"),
        (FLOW | {"category": "3"}, "category", "wrong_type"),
        (FLOW | {"category": 2.5}, "category", "wrong_type"),
        (FLOW | {"category": 2**31}, "category", "number_out_of_range"),
        (FLOW | {"category": None}, "category", "missing_field"),
        (FLOW | {"metadata": []}, "metadata", "wrong_type"),
        (FLOW | {"metadata": {"a": "\0"}}, "metadata", "nul_character"),
        (FLOW | {"metadata": {"a": "x" * 300_000}}, "metadata", "too_long"),
        (FLOW | {"source": "Watch"}, "source", "wrong_type"),
        (FLOW | {"source": {"name": 3}}, "source.name", "wrong_type"),
        (FLOW | {"source": {"name": "\0"}}, "source.name", "nul_character"),
        (FLOW | {"source": {"version": "x" * 256}}, "source.version", "too_long"),
        (FLOW | {"device": []}, "device", "wrong_type"),
        (FLOW | {"device": {"udi": {}}}, "device.udi", "wrong_type"),
        (ECG | {"source": {"name": 3}}, "source.name", "wrong_type"),
        (ECG | {"start": 3}, "start", "wrong_type"),
        (ECG | {"note": "\0"}, "", "nul_character"),
        (ECG | {"type": "x\0"}, "type", "nul_character"),
    ],
)
def test_one_bad_record_never_sinks_its_neighbours(element: object, field: str, code: str) -> None:
    before, outcome, after = parse(HEART_RATE, element, FLOW, first_index=5)

    assert isinstance(before, Sample)
    assert outcome == Rejected(index=6, field=field, code=code, detail=reasons()[code])
    assert isinstance(after, Sample)
    assert after.index == 7


@pytest.mark.parametrize(
    ("element", "field", "code"),
    [
        (b'{"type": "Acme\xff", "start": "2026-01-01T00:00:00Z"}', "type", "invalid_text"),
        (b'{"type": "Acme", "start": "2026-01-01T00:00:00Z", "x": "\xff"}', "", "invalid_text"),
        (b'{"type": "Acme", "start": "2026-01-01T00:00:00Z", "x": 1e999}', "", "number_out_of_range"),
        (b'{"type": "Acme", "start": "2026-01-01T00:00:00Z", "x": ' + b"[" * 500 + b"]" * 500 + b"}", "", "too_deep"),
        (b'{"type": "Acme", "start": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "", "too_deep"),
        (b"[" * 200_000 + b"]" * 200_000, "", "malformed_record"),
        (b'{"a":' * 200_000 + b"1" + b"}" * 200_000, "", "too_deep"),
    ],
)
def test_records_no_client_library_would_write(element: bytes, field: str, code: str) -> None:
    records = b"[" + element + b"," + json.dumps(FLOW).encode() + b"]"

    rejected, after = HealthKitFormat().parse(
        records, section=Section.SAMPLES, first_index=0, time_zone=None, registry=shipped_registry()
    )

    assert isinstance(rejected, Rejected)
    assert (rejected.field, rejected.code) == (field, code)
    assert isinstance(after, Sample)


def test_half_a_character_is_replaced_and_the_sample_kept() -> None:
    result = sample(HEART_RATE | {"source": {"name": "Ada \ud83d"}})

    assert result.source == Source(name="Ada \ufffd", device=Device(**HEART_RATE["device"]))


def test_deletions() -> None:
    outcomes = parse(
        {"uuid": UUID_TEXT, "metadata": {"HKMetadataKeySyncIdentifier": "x"}},
        {"uuid": "x"},
        {},
        3,
        {"uuid": None},
        {"uuid": str(UUID(int=0))},
        section=Section.DELETIONS,
        first_index=2,
    )

    assert outcomes[0] == Deletion(index=2, uuid=UUID(UUID_TEXT))
    assert [(outcome.index, outcome.field, outcome.code) for outcome in outcomes if isinstance(outcome, Rejected)] == [
        (3, "uuid", "invalid_uuid"),
        (4, "uuid", "missing_field"),
        (5, "", "malformed_record"),
        (6, "uuid", "wrong_type"),
        (7, "uuid", "invalid_uuid"),
    ]


def test_records_that_are_no_array() -> None:
    with pytest.raises(MalformedBody):
        list(
            HealthKitFormat().parse(
                b"{}", section=Section.SAMPLES, first_index=0, time_zone=None, registry=shipped_registry()
            )
        )


@pytest.mark.parametrize(
    ("body", "recognised"),
    [
        ({"format": "healthkit", "samples": []}, True),
        ({"samples": [], "format": "healthkit"}, True),
        ({"samples": [], "format": "flutter"}, False),
        ({"format": "flutter", "samples": [HEART_RATE]}, False),
        ({"format": "healthkit"}, True),
        ({"version": 1, "format": "healthkit"}, True),
        ({"samples": {}, "format": "healthkit"}, True),
        ({"samples": [HEART_RATE]}, True),
        ({"samples": [3, {}, HEART_RATE]}, True),
        ({"samples": [{"type": "STEPS", "dateFrom": "x"}]}, False),
        ({"samples": [], "deletions": [{"uuid": UUID_TEXT}]}, True),
        ([HEART_RATE], False),
        ({}, False),
        ({"format": 3, "samples": []}, False),
        (3, False),
    ],
)
def test_recognises(body: object, recognised: bool) -> None:
    assert HealthKitFormat().recognises(json.dumps(body).encode()) is recognised


@pytest.mark.parametrize("body", [b"", b"\xff", b"{", b"[" * 200_000, b'{"samples": [' + b"[" * 200_000, b"\0"])
def test_recognising_never_raises(body: bytes) -> None:
    assert HealthKitFormat().recognises(body) is False


@cache
def validator() -> Draft202012Validator:
    text = files("django_healthkit_ingest.core.formats").joinpath("healthkit.schema.json").read_text(encoding="utf-8")
    Draft202012Validator.check_schema(json.loads(text))
    return Draft202012Validator(json.loads(text))


WINDOW = {"types": ["Acme"], "start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00+01:00"}


def accepted(body: dict[str, Any]) -> bool:
    """By the code: the envelope is taken and no record is rejected."""
    wire = HealthKitFormat()
    try:
        envelope = wire.split(json.dumps(body).encode(), time_zone=None)
    except InvalidBody:
        return False
    outcomes = [
        outcome
        for section in Section
        for outcome in wire.parse(
            b"[" + b",".join(envelope.records.get(section, [])) + b"]",
            section=section,
            first_index=0,
            time_zone=envelope.time_zone,
            registry=shipped_registry(),
        )
    ]
    return not any(isinstance(outcome, Rejected) for outcome in outcomes)


@pytest.mark.parametrize(
    "body",
    [
        {"samples": []},
        {
            "format": "healthkit",
            "version": 1,
            "time_zone": "Europe/Berlin",
            "lane": "LIVE",
            "sequence": 42,
            "device": {"id": "6F0C", "model": "iPhone17,1", "system_version": "27.0"},
            "client": {"name": "acme-ios", "version": "3.2.0"},
            "samples": [HEART_RATE, FLOW, ECG, {"type": "Acme", "start": "2026-01-01T08:00:00"}],
            "deletions": [{"uuid": UUID_TEXT, "metadata": {}}],
            "anchors": {"HKQuantityTypeIdentifierHeartRate": "YQ=="},
            "windows": [WINDOW, {**WINDOW, "complete": True, "readable": True}],
        },
        {"samples": [{"type": "HKCategoryTypeIdentifierMindfulSession", "start": "2026-01-01T08:00:00Z"}]},
        {"samples": [FLOW | {"category": 3.0, "uuid": None, "end": None, "source": None, "device": None}]},
    ],
)
def test_what_the_schema_takes_is_taken(body: dict[str, Any]) -> None:
    assert validator().is_valid(body), list(validator().iter_errors(body))
    assert accepted(body)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"samples": {}},
        {"samples": [], "version": 2},
        {"samples": [], "format": "flutter"},
        {"samples": [], "lane": "live"},
        {"samples": [], "time_zone": "+01:00"},
        {"samples": [], "device": {"id": 1}},
        {"samples": [], "client": "acme"},
        {"samples": [], "sequence": -1},
        {"samples": [], "sequence": 2**63},
        {"samples": [], "anchors": []},
        {"samples": [], "anchors": {"": "YQ=="}},
        {"samples": [], "anchors": {"x" * 129: "YQ=="}},
        {"samples": [], "anchors": {"Acme": ""}},
        {"samples": [], "anchors": {"Acme": "x" * 65_537}},
        {"samples": [], "anchors": {"Acme": 1}},
        {"samples": [], "windows": [WINDOW] * 101},
        {"samples": [], "windows": [WINDOW | {"types": []}]},
        {"samples": [], "windows": [WINDOW | {"types": ["x\ny"]}]},
        {"samples": [], "windows": [WINDOW | {"start": "2026-01-01"}]},
        {"samples": [], "windows": [WINDOW | {"complete": "yes"}]},
        {"samples": [], "windows": [{"types": ["Acme"], "start": "2026-01-01T08:00:00Z"}]},
        {"samples": [3]},
        {"samples": [{"start": "2026-01-01T08:00:00Z"}]},
        {"samples": [{"type": "Acme"}]},
        {"samples": [HEART_RATE | {"type": ""}]},
        {"samples": [HEART_RATE | {"type": "x" * 129}]},
        {"samples": [HEART_RATE | {"type": "x\0"}]},
        {"samples": [HEART_RATE | {"start": "2026-01-01"}]},
        {"samples": [HEART_RATE | {"start": "1899-01-01T00:00:00Z"}]},
        {"samples": [HEART_RATE | {"end": "2026-01-01T24:00:00Z"}]},
        {"samples": [HEART_RATE | {"value": "72"}]},
        {"samples": [HEART_RATE | {"value": None}]},
        {"samples": [HEART_RATE | {"unit": None}]},
        {"samples": [{name: HEART_RATE[name] for name in HEART_RATE if name != "unit"}]},
        {"samples": [HEART_RATE | {"uuid": "x"}]},
        {"samples": [HEART_RATE | {"uuid": str(UUID(int=0))}]},
        {"samples": [HEART_RATE | {"metadata": []}]},
        {"samples": [HEART_RATE | {"source": {"name": 3}}]},
        {"samples": [HEART_RATE | {"device": {"name": "x" * 256}}]},
        {"samples": [FLOW | {"category": "3"}]},
        {"samples": [FLOW | {"category": 2.5}]},
        {"samples": [FLOW | {"category": 2**31}]},
        {"samples": [], "deletions": [{}]},
        {"samples": [], "deletions": [{"uuid": "x"}]},
    ],
)
def test_what_the_schema_refuses_is_refused(body: dict[str, Any]) -> None:
    assert not validator().is_valid(body)
    assert not accepted(body)
