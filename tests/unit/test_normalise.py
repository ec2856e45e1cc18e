from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest

from django_healthkit_ingest.core.identity import content_digest, fingerprint, source_key
from django_healthkit_ingest.core.json_text import JsonObject, read_object
from django_healthkit_ingest.core.normalise import (
    MAX_DETAILS_BYTES,
    NORMALISER_VERSION,
    Draft,
    check_source,
    normalise,
    reading_version,
)
from django_healthkit_ingest.core.registry import SampleKind, shipped_registry
from django_healthkit_ingest.core.samples import Device, Sample, Source, ZoneBasis
from django_healthkit_ingest.core.timestamps import microseconds
from django_healthkit_ingest.exceptions import RecordRejected

HEART_RATE = "HKQuantityTypeIdentifierHeartRate"
SLEEP = "HKCategoryTypeIdentifierSleepAnalysis"
MINDFUL = "HKCategoryTypeIdentifierMindfulSession"
ECG = "HKDataTypeIdentifierElectrocardiogram"
START = "2026-01-01T08:00:00+01:00"


def draft(**fields: Any) -> Draft:
    defaults: dict[str, Any] = {"type": HEART_RATE, "start": START, "value": 72.0, "unit": "count/min", "record": b"{}"}
    return Draft(**defaults | fields)


def sample(*, declared_zone: ZoneInfo | None = None, fidelity: int = 60, **fields: Any) -> Sample:
    return normalise(
        draft(**fields), index=4, registry=shipped_registry(), fidelity=fidelity, declared_zone=declared_zone
    )


def rejected(**fields: Any) -> tuple[str, str]:
    with pytest.raises(RecordRejected) as caught:
        sample(**fields)
    return caught.value.field, caught.value.reason


def metadata(**members: Any) -> JsonObject:
    return read_object(msgspec.json.encode(members), field="metadata", max_bytes=10_000)


def test_a_quantity() -> None:
    uuid = UUID("5013c1d2-0000-4000-8000-000000000001")
    source = Source(name="Apple Watch")

    result = sample(uuid=uuid, source=source, metadata=metadata(a=1), end="2026-01-01T08:00:05+01:00")

    start, end = datetime(2026, 1, 1, 7, tzinfo=UTC), datetime(2026, 1, 1, 7, 0, 5, tzinfo=UTC)
    assert result == Sample(
        index=4,
        identifier=HEART_RATE,
        known=True,
        uuid=uuid,
        fingerprint=fingerprint(
            identifier=HEART_RATE,
            kind=SampleKind.QUANTITY,
            start=microseconds(start),
            end=microseconds(end),
            value=72.0,
            category=None,
        ),
        rank=result.rank,
        start=start,
        end=end,
        start_us=microseconds(start),
        end_us=microseconds(end),
        time_zone="+01:00",
        zone_basis=ZoneBasis.OFFSET,
        value=72.0,
        category=None,
        unit="",
        source=source,
        metadata='{"a":1}',
        details=None,
        kind=SampleKind.QUANTITY,
    )
    assert result.rank >> 57 == 60
    assert result.rank >> 48 & 511 == reading_version(known=True) == 2 * NORMALISER_VERSION + 1


def test_the_rank_of_a_record_never_changes_silently() -> None:
    result = sample(source=Source(name="Apple Watch"), metadata=metadata(a=1, b=[2.5]))

    assert result.rank == 8648426742899261712


@pytest.mark.parametrize("identifier", [HEART_RATE, ECG])
def test_the_rank_ends_in_the_content_digest(identifier: str) -> None:
    source, notes = Source(name="Apple Watch"), metadata(a=1)
    record = b'{"voltages":[1,2,3],"leads":1}'
    result = sample(type=identifier, source=source, metadata=notes, record=record)

    details = read_object(result.details.encode(), field="", max_bytes=1000).digest if result.details else ""
    parts = (
        identifier,
        microseconds(result.start),
        microseconds(result.end),
        "+01:00",
        "O",
        result.value,
        result.category,
        result.unit,
        source_key(source).int,
        notes.digest,
        details,
        *(each.digest for each in result.series),
    )
    assert result.rank & (1 << 48) - 1 == int.from_bytes(content_digest(*parts))
    assert bool(result.series) is (identifier == ECG)


@pytest.mark.parametrize(
    ("identifier", "value", "unit", "stored"),
    [
        (HEART_RATE, 1.2, "count/s", 72.0),
        (HEART_RATE, 72, "bpm", 72.0),
        ("HKQuantityTypeIdentifierBodyMass", 11.0, "st", 69.85322498),
        ("HKQuantityTypeIdentifierBodyTemperature", 98.6, "degF", 37.0),
        ("HKQuantityTypeIdentifierBloodGlucose", 5.0, "mmol<180.1558800000541>/L", 90.0779400000271),
        ("HKQuantityTypeIdentifierOxygenSaturation", 0.97, "%", 0.97),
        ("HKQuantityTypeIdentifierBodyMassIndex", 22.5, "", 22.5),
        ("HKQuantityTypeIdentifierVO2Max", 41.0, "mL/min·kg", 41.0),
        ("HKQuantityTypeIdentifierDietaryCaffeine", 80, "mg", 0.08),
    ],
)
def test_quantities_are_stored_in_the_canonical_unit(identifier: str, value: float, unit: str, stored: float) -> None:
    result = sample(type=identifier, value=value, unit=unit)

    assert result.value == pytest.approx(stored, rel=1e-12)
    assert result.unit == ""


def test_negative_zero_is_zero() -> None:
    value = sample(value=-0.0).value

    assert value is not None
    assert math.copysign(1, value) == 1


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"value": None}, ("value", "missing_field")),
        ({"value": True}, ("value", "wrong_type")),
        ({"value": math.nan}, ("value", "number_out_of_range")),
        ({"value": -math.inf}, ("value", "number_out_of_range")),
        ({"value": 1e307, "unit": "count/s"}, ("value", "number_out_of_range")),
        ({"unit": None}, ("unit", "missing_unit")),
        ({"unit": "furlong"}, ("unit", "unit_unknown")),
        ({"unit": "count"}, ("unit", "unit_mismatch")),
        ({"unit": ""}, ("unit", "unit_mismatch")),
        ({"unit": "m" * 65}, ("unit", "too_long")),
        ({"unit": "count/min\0"}, ("unit", "unit_unknown")),
        ({"start": "soon"}, ("start", "invalid_date")),
        ({"start": "2026-01-01T08:00:00"}, ("start", "naive_date")),
        ({"end": "2025-01-01T08:00:00Z"}, ("end", "end_before_start")),
        ({"time_zone": "Mars/Olympus"}, ("time_zone", "invalid_time_zone")),
        ({"time_zone": ""}, ("time_zone", "invalid_time_zone")),
        ({"type": SLEEP}, ("category", "missing_field")),
        ({"type": SLEEP, "category": 2.5}, ("category", "wrong_type")),
        ({"type": SLEEP, "category": True}, ("category", "wrong_type")),
        ({"type": SLEEP, "category": math.nan}, ("category", "wrong_type")),
        ({"type": SLEEP, "category": 2**31}, ("category", "number_out_of_range")),
        ({"type": SLEEP, "category": -(2**31) - 1}, ("category", "number_out_of_range")),
        ({"type": SLEEP, "category": 10**400}, ("category", "number_out_of_range")),
        ({"type": ""}, ("type", "missing_field")),
        ({"type": "x" * 129}, ("type", "too_long")),
        ({"type": "x\0"}, ("type", "nul_character")),
        ({"type": "x\n"}, ("type", "control_character")),
        ({"type": "x\x85"}, ("type", "control_character")),
        ({"type": "Acme", "unit": "x" * 65}, ("unit", "too_long")),
        ({"type": "Acme", "unit": "x\0"}, ("unit", "nul_character")),
        ({"type": "Acme", "value": math.inf}, ("value", "number_out_of_range")),
        ({"type": "Acme", "record": b'{"a":"\\u0000"}'}, ("", "nul_character")),
        ({"type": "Acme", "record": b'{"a":"' + b"x" * MAX_DETAILS_BYTES + b'"}'}, ("", "too_long")),
    ],
)  # fmt: skip
def test_faults(fields: dict[str, Any], expected: tuple[str, str]) -> None:
    assert rejected(**fields) == expected


@pytest.mark.parametrize("category", [0, 5, 5.0, 99, -(2**31), 2**31 - 1])
def test_a_category_may_be_newer_than_the_catalogue(category: float) -> None:
    result = sample(type=SLEEP, category=category)

    assert result.category == category
    assert type(result.category) is int
    assert result.value is None


@pytest.mark.parametrize(("category", "stored"), [(None, 0), (0, 0), (3, 3)])
def test_a_category_without_values_may_be_left_out(category: int | None, stored: int) -> None:
    assert sample(type=MINDFUL, category=category).category == stored


def test_a_missing_end_is_the_start() -> None:
    result = sample()

    assert result.end == result.start


def test_an_alias_is_stored_under_the_identifier() -> None:
    result = sample(type="HKCategoryTypeIdentifierEnvironmentalAudioExposureEvent", category=1)

    assert result.identifier == "HKCategoryTypeIdentifierAudioExposureEvent"
    assert result.known


def test_an_unknown_type_is_kept_whole() -> None:
    record = b'{"type": "Acme", "anything": [1, {"b": "\\u00e4"}]}'

    result = sample(type="Acme", value=3.0, unit="furlong", category=7, record=record)

    assert result.details == record.decode()
    assert (result.known, result.identifier) == (False, "Acme")
    assert (result.value, result.unit, result.category) == (3.0, "furlong", 7)


@pytest.mark.parametrize("identifier", [ECG, "HKWorkoutTypeIdentifier", "HKCorrelationTypeIdentifierBloodPressure"])
def test_a_known_structure_is_kept_whole(identifier: str) -> None:
    result = sample(type=identifier, value=None, unit=None, category=37, record=b'{"a":1}')

    assert (result.known, result.details, result.category) == (True, '{"a":1}', 37)


def test_a_category_that_cannot_be_one_stays_in_the_details_only() -> None:
    assert sample(type="Acme", category=2**40).category is None
    assert sample(type="Acme", category=2.5).category is None


def test_a_workout_is_fingerprinted_by_its_activity() -> None:
    running = sample(type="HKWorkoutTypeIdentifier", category=37)
    walking = sample(type="HKWorkoutTypeIdentifier", category=52)

    assert running.fingerprint != walking.fingerprint


@pytest.mark.parametrize(
    ("fields", "time_zone"),
    [
        ({"time_zone": "Europe/Lisbon", "metadata": metadata(HKTimeZone="Asia/Tokyo")}, "Europe/Lisbon"),
        ({"metadata": metadata(HKTimeZone="Asia/Tokyo")}, "Asia/Tokyo"),
        ({"metadata": metadata(HKTimeZone="Mars/Olympus")}, "Europe/Berlin"),
        ({"metadata": metadata(HKTimeZone=3)}, "Europe/Berlin"),
        ({}, "Europe/Berlin"),
    ],
)
def test_the_records_own_zone_beats_the_declared_one(fields: dict[str, Any], time_zone: str) -> None:
    result = sample(start="2026-01-01T08:00:00", declared_zone=ZoneInfo("Europe/Berlin"), **fields)

    assert result.time_zone == time_zone
    assert result.start.astimezone(ZoneInfo(time_zone)).hour == 8


@pytest.mark.parametrize(
    "change",
    [
        {"value": 73.0},
        {"end": "2026-01-01T08:00:00.001+01:00"},
        {"source": Source(name="iPhone")},
        {"metadata": metadata(a=1, b=3)},
        {"start": "2026-01-01T07:00:00Z"},
    ],
)
def test_other_content_has_another_rank(change: dict[str, Any]) -> None:
    fields: dict[str, Any] = {"metadata": metadata(a=1, b=2), "source": Source(name="Watch")}

    assert sample(**fields).rank != sample(**fields | change).rank


def test_other_details_have_another_rank() -> None:
    assert sample(type="Acme", record=b'{"a":1}').rank != sample(type="Acme", record=b'{"a":2}').rank
    assert sample(type="Acme", record=b'{"a":1}').rank == sample(type="Acme", record=b'{ "a": 1 }').rank


def test_the_order_of_keys_is_no_content() -> None:
    one = sample(metadata=read_object(b'{"a": 1, "b": {"c": 2, "d": 3.0}}', field="", max_bytes=100))
    other = sample(metadata=read_object(b'{"b":{"d":3.0,"c":2},"a":1}', field="", max_bytes=100))

    assert one.rank == other.rank


def test_the_same_content_in_a_better_format_wins() -> None:
    assert sample(fidelity=60).rank > sample(fidelity=30).rank
    assert sample(fidelity=60).fingerprint == sample(fidelity=30).fingerprint


@pytest.mark.parametrize(
    ("source", "field", "reason"),
    [
        (Source(name="x" * 256), "source.name", "too_long"),
        (Source(bundle_id="x\0"), "source.bundle_id", "nul_character"),
        (Source(name="\ud83d"), "source.name", "invalid_text"),
        (Source(device=Device(udi="x" * 256)), "device.udi", "too_long"),
    ],
)
def test_a_source_that_cannot_be_stored(source: Source, field: str, reason: str) -> None:
    with pytest.raises(RecordRejected) as caught:
        check_source(source)

    assert (caught.value.field, caught.value.reason) == (field, reason)


@pytest.mark.parametrize(
    ("source", "checked"),
    [
        (Source(), None),
        (Source(device=Device()), None),
        (Source(name="x", device=Device()), Source(name="x")),
        (Source(name="x" * 255), Source(name="x" * 255)),
        (Source(device=Device(name="x")), Source(device=Device(name="x"))),
    ],
)
def test_a_source_that_says_nothing_is_none(source: Source, checked: Source | None) -> None:
    assert check_source(source) == checked
