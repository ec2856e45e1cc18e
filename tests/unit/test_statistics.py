from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from django_healthkit_ingest.core.registry import shipped_registry
from django_healthkit_ingest.core.samples import Source, Statistic, ZoneBasis
from django_healthkit_ingest.core.statistics import NO_START, StatisticDraft, is_kept_once, normalise_statistic
from django_healthkit_ingest.exceptions import RecordRejected

BERLIN = ZoneInfo("Europe/Berlin")
STEPS = "HKQuantityTypeIdentifierStepCount"
RATE = "HKQuantityTypeIdentifierHeartRate"
SLEEP = "HKCategoryTypeIdentifierSleepAnalysis"
SUMMARY = "HKActivitySummaryTypeIdentifier"
BLOOD_TYPE = "HKCharacteristicTypeIdentifierBloodType"
DAY = StatisticDraft(
    type=STEPS,
    aggregation="sum",
    start="2026-01-05T00:00:00+01:00",
    end="2026-01-06T00:00:00+01:00",
    value=8421,
    unit="count",
)


def normalised(draft: StatisticDraft, *, fidelity: int = 60, zone: ZoneInfo | None = None) -> Statistic:
    return normalise_statistic(draft, registry=shipped_registry(), fidelity=fidelity, declared_zone=zone)


def whole(type: str, start: str | datetime, **members: object) -> StatisticDraft:
    return StatisticDraft(type=type, aggregation="whole", start=start, record=json.dumps(members).encode())


def test_a_days_sum() -> None:
    kept = normalised(DAY)

    assert (kept.identifier, kept.known, kept.aggregation) == (STEPS, True, "sum")
    assert (kept.start, kept.end) == (datetime(2026, 1, 4, 23, tzinfo=UTC), datetime(2026, 1, 5, 23, tzinfo=UTC))
    assert (kept.time_zone, kept.zone_basis) == ("+01:00", ZoneBasis.OFFSET)
    assert (kept.value, kept.unit, kept.preference) == (8421.0, "", 8421.0)
    assert (kept.source, kept.details) == (None, None)
    assert kept.rank >> 57 == 60


def test_the_key_never_changes_silently() -> None:
    source = Source(name="Ada's Watch")

    assert normalised(DAY).key == UUID("ac095eec-c450-4a71-9efd-21516ad76811")
    assert normalised(replace(DAY, source=source)).key == UUID("aa012077-d8e7-e63d-d9df-f4c61bbed07e")
    assert normalised(whole(SUMMARY, "2026-01-05")).key == UUID("692ae970-bd32-cfcc-0bce-c3f8ae704b1a")
    assert normalised(whole(BLOOD_TYPE, NO_START)).key == UUID("77e8764a-8e9c-0435-0da6-19a23dd32754")


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "HKQuantityTypeIdentifierFlightsClimbed"},
        {"aggregation": "maximum"},
        {"start": "2026-01-05T00:00:01+01:00"},
        {"end": "2026-01-06T00:00:01+01:00"},
        {"end": None},
        {"bucket": "lunch"},
        {"source": Source(name="Ada's Watch")},
    ],
)
def test_what_is_another_statistic(changes: dict[str, Any]) -> None:
    assert normalised(replace(DAY, **changes)).key != normalised(DAY).key


@pytest.mark.parametrize(
    "changes",
    [
        {"value": 9000.0},
        {"start": "2026-01-04T23:00:00Z", "end": "2026-01-05T23:00:00Z"},
        {"time_zone": "Europe/Berlin"},
        {"unit": ""},
    ],
)
def test_what_is_another_reading_of_the_same(changes: dict[str, Any]) -> None:
    assert normalised(replace(DAY, **changes), fidelity=10).key == normalised(DAY).key


def test_a_missing_end_stays_missing() -> None:
    assert normalised(replace(DAY, end=None)).end is None


@pytest.mark.parametrize(
    ("type", "aggregation", "value", "unit", "kept"),
    [
        (RATE, "average", 1.2, "count/s", (72.0, "")),
        (RATE, "minimum", 48, "count/min", (48.0, "")),
        ("HKQuantityTypeIdentifierOxygenSaturation", "average", 0.97, "%", (0.97, "")),
        (RATE, "duration", 2, "hr", (7200.0, "s")),
        (SLEEP, "duration", 7.5, "hr", (27000.0, "s")),
        (SLEEP, "count", 4, None, (4.0, "count")),
        (STEPS, "count", 4, "", (4.0, "count")),
        (SLEEP, "sum", 450, "min", (450.0, "min")),
        ("HKWorkoutTypeIdentifier", "sum", 3, "km", (3.0, "km")),
        ("AcmeScore", "average", 3, "points", (3.0, "points")),
        ("AcmeScore", "average", None, None, (None, "")),
        ("AcmeScore", "duration", 3, "min", (180.0, "s")),
    ],
)
def test_units(type: str, aggregation: str, value: float | None, unit: str | None, kept: tuple[float, str]) -> None:
    result = normalised(replace(DAY, type=type, aggregation=aggregation, value=value, unit=unit))

    assert (result.value, result.unit) == pytest.approx(kept)


@pytest.mark.parametrize(
    ("aggregation", "preference"),
    [
        ("sum", 60.0),
        ("maximum", 60.0),
        ("minimum", -60.0),
        ("average", 0.0),
        ("most_recent", 0.0),
    ],
)
def test_the_value_that_a_period_only_grows_towards_is_preferred(aggregation: str, preference: float) -> None:
    assert (
        normalised(replace(DAY, type=RATE, aggregation=aggregation, value=1, unit="count/s")).preference == preference
    )


@pytest.mark.parametrize(("aggregation", "preference"), [("count", 3.0), ("duration", 180.0)])
def test_a_count_and_a_duration_grow_too(aggregation: str, preference: float) -> None:
    unit = {"count": "count", "duration": "min"}[aggregation]

    assert normalised(replace(DAY, aggregation=aggregation, value=3, unit=unit)).preference == preference


def test_an_unknown_type_keeps_its_record() -> None:
    kept = normalised(replace(DAY, type="AcmeScore", record=b'{"score": 3}'))

    assert (kept.identifier, kept.known, kept.details) == ("AcmeScore", False, '{"score": 3}')


def test_an_alias_is_the_type() -> None:
    draft = replace(DAY, type="HKElectrocardiogramType", aggregation="count")

    assert normalised(draft).identifier == "HKDataTypeIdentifierElectrocardiogram"


def test_a_summary_is_known_by_its_civil_day() -> None:
    keys = {
        normalised(whole(SUMMARY, "2026-01-05")).key,
        normalised(whole(SUMMARY, "2026-01-05"), zone=BERLIN).key,
        normalised(whole(SUMMARY, "2026-01-05T00:00:00+01:00")).key,
        normalised(whole(SUMMARY, "2026-01-05T00:00:00"), zone=BERLIN).key,
        normalised(whole(SUMMARY, "2026-01-04T23:00:00Z"), zone=BERLIN).key,
        normalised(replace(whole(SUMMARY, "2026-01-04T23:00:00Z"), time_zone="Europe/Berlin")).key,
        normalised(replace(whole(SUMMARY, "2026-01-05"), source=Source(name="Ada's iPhone"))).key,
    }

    assert len(keys) == 1
    assert normalised(whole(SUMMARY, "2026-01-04T23:00:00Z")).key not in keys


def test_a_summarys_day_starts_where_the_person_was() -> None:
    assert normalised(whole(SUMMARY, "2026-01-05"), zone=BERLIN).start == datetime(2026, 1, 4, 23, tzinfo=UTC)
    assert normalised(whole(SUMMARY, "2026-01-05")).start == datetime(2026, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("members", "preference"),
    [
        ({"active_energy_burned": 431.5}, 431.5),
        ({"active_energy_burned": {"value": 4184, "unit": "kJ"}}, 1000.0),
        ({"active_energy_burned": 4184, "active_energy_burned_unit": "kJ"}, 1000.0),
        ({"activeEnergyBurned": {"quantity": 431.5, "unit": "kcal"}}, 431.5),
        ({"activeEnergyBurned": "431.5", "activeEnergyBurnedUnit": "Cal"}, 431.5),
        ({"activeEnergyBurned": 431.5, "activeEnergyBurnedUnit": "kg"}, 0.0),
        ({"activeEnergyBurned": "much"}, 0.0),
        ({"activeEnergyBurned": "nan"}, 0.0),
        ({"activeEnergyBurned": True}, 0.0),
        ({"activeEnergyBurned": None}, 0.0),
        ({"activeEnergyBurned": []}, 0.0),
        ({"rings": 3}, 0.0),
    ],
)
def test_the_fuller_ring_is_preferred(members: dict[str, object], preference: float) -> None:
    kept = normalised(whole(SUMMARY, "2026-01-05", **members))

    assert kept.preference == pytest.approx(preference)
    assert json.loads(kept.details or "") == members


def test_the_later_reading_of_a_characteristic_is_preferred() -> None:
    early, late = (normalised(whole(BLOOD_TYPE, start)) for start in (NO_START, "2026-01-05T00:00:00Z"))

    assert early.key == late.key
    assert early.preference < late.preference


def test_anything_else_that_is_whole_is_known_like_any_statistic() -> None:
    first, second = (normalised(whole("AcmeScore", start)) for start in (NO_START, "2026-01-05T00:00:00Z"))

    assert first.key != second.key


def test_the_rank_is_fidelity_first_then_content() -> None:
    better, same, other = (
        normalised(draft, fidelity=fidelity)
        for draft, fidelity in ((DAY, 61), (DAY, 60), (replace(DAY, value=8422), 60))
    )

    assert better.rank > max(same.rank, other.rank)
    assert same.rank == normalised(DAY).rank != other.rank


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"aggregation": "median"}, "aggregation", "value_unknown"),
        ({"type": ""}, "type", "missing_field"),
        ({"type": "x" * 129}, "type", "too_long"),
        ({"start": "2026-01-05"}, "start", "invalid_date"),
        ({"start": "2026-01-05T00:00:00"}, "start", "naive_date"),
        ({"end": "2026-01-04T00:00:00Z"}, "end", "end_before_start"),
        ({"time_zone": "Mars/Base"}, "time_zone", "invalid_time_zone"),
        ({"value": None}, "value", "missing_field"),
        ({"value": float("inf")}, "value", "number_out_of_range"),
        ({"unit": None}, "unit", "missing_unit"),
        ({"unit": "kg"}, "unit", "unit_mismatch"),
        ({"unit": "parsec"}, "unit", "unit_unknown"),
        ({"aggregation": "duration"}, "unit", "unit_mismatch"),
        ({"aggregation": "duration", "unit": None}, "unit", "missing_unit"),
        ({"aggregation": "count", "unit": "kg"}, "unit", "unit_mismatch"),
        ({"type": SLEEP, "unit": None}, "unit", "missing_unit"),
        ({"type": SLEEP, "value": None}, "value", "missing_field"),
        ({"type": SLEEP, "unit": "x" * 65}, "unit", "too_long"),
        ({"type": SLEEP, "unit": "h\0"}, "unit", "nul_character"),
        ({"type": "AcmeScore", "unit": "x" * 65}, "unit", "too_long"),
        ({"type": "AcmeScore", "record": b"[]"}, "", "wrong_type"),
        ({"type": SUMMARY, "start": "2026-02-30", "aggregation": "whole"}, "start", "invalid_date"),
    ],
)
def test_a_refusal_names_the_field(changes: dict[str, Any], field: str, code: str) -> None:
    with pytest.raises(RecordRejected) as caught:
        normalised(replace(DAY, **changes))

    assert (caught.value.field, caught.value.reason) == (field, code)


@pytest.mark.parametrize(
    ("identifier", "once"), [(SUMMARY, True), (BLOOD_TYPE, True), (STEPS, False), ("AcmeScore", False)]
)
def test_what_there_is_once_per_day_or_person(identifier: str, once: bool) -> None:
    assert is_kept_once(identifier, shipped_registry()) is once
