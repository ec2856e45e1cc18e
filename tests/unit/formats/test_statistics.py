from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from django_healthkit_ingest.core.formats.open_wearables import OpenWearablesFormat
from django_healthkit_ingest.core.registry import shipped_registry
from django_healthkit_ingest.core.rejections import reasons
from django_healthkit_ingest.core.samples import Device, Rejected, Section, Source, Statistic, Statistics
from django_healthkit_ingest.core.statistics import NO_START
from tests.unit.formats.test_healthkit import accepted, parse, validator

STEPS: dict[str, Any] = {
    "type": "HKQuantityTypeIdentifierStepCount",
    "aggregation": "sum",
    "start": "2026-01-05T00:00:00+01:00",
    "end": "2026-01-06T00:00:00+01:00",
    "value": 8421,
    "unit": "count",
}
RATE: dict[str, Any] = {
    "type": "HKQuantityTypeIdentifierHeartRate",
    "start": "2026-01-05T10:00:00Z",
    "end": "2026-01-05T11:00:00Z",
    "unit": "count/s",
    "minimum": 0.8,
    "maximum": 2,
    "average": 1.2,
    "most_recent": 1,
    "duration": 600,
    "count": 14,
}
SUMMARY: dict[str, Any] = {
    "type": "HKActivitySummaryTypeIdentifier",
    "date": "2026-01-05",
    "active_energy_burned": 431.5,
    "active_energy_burned_goal": {"value": 500, "unit": "kcal"},
    "count": "twelve",
}
BLOOD_TYPE: dict[str, Any] = {"type": "HKCharacteristicTypeIdentifierBloodType", "category": 7}
BIRTH_DATE: dict[str, Any] = {"type": "HKCharacteristicTypeIdentifierDateOfBirth", "value": "1990-02-03"}


def statistics(
    element: object, *, section: Section = Section.STATISTICS, time_zone: str | None = None
) -> tuple[Statistic, ...]:
    (outcome,) = parse(element, section=section, first_index=3, time_zone=time_zone)
    assert isinstance(outcome, Statistics), outcome
    assert outcome.index == 3
    return outcome.values


def test_one_aggregation() -> None:
    (kept,) = statistics(STEPS)

    assert (kept.identifier, kept.aggregation, kept.value, kept.unit) == (STEPS["type"], "sum", 8421.0, "")
    assert (kept.start, kept.end) == (datetime(2026, 1, 4, 23, tzinfo=UTC), datetime(2026, 1, 5, 23, tzinfo=UTC))
    assert kept.rank >> 57 == 60


def test_several_aggregations_are_one_record() -> None:
    values = statistics(RATE)

    assert {each.aggregation: (each.value, each.unit) for each in values} == {
        "minimum": (48.0, ""),
        "maximum": (120.0, ""),
        "average": (72.0, ""),
        "most_recent": (60.0, ""),
        "duration": (600.0, "s"),
        "count": (14.0, "count"),
    }
    assert len({each.key for each in values}) == 6


def test_the_forms_are_one_and_the_same_statistic() -> None:
    single = RATE | {"aggregation": "maximum", "value": 120, "unit": "count/min"}

    (kept,) = statistics(single)

    assert kept in statistics(RATE)


def test_a_statistic_of_one_source() -> None:
    source = {"source": {"name": "Ada's Watch"}, "device": {"hardware": "Watch7,11"}}

    (kept,) = statistics(STEPS | source)

    assert kept.source == Source(name="Ada's Watch", device=Device(hardware="Watch7,11"))
    assert kept.key != statistics(STEPS)[0].key


def test_naive_dates_are_read_in_the_declared_zone() -> None:
    naive = STEPS | {"start": "2026-01-05T00:00:00", "end": "2026-01-06T00:00:00"}

    assert statistics(naive, time_zone="Europe/Berlin")[0].key == statistics(STEPS)[0].key
    assert statistics(naive | {"time_zone": "Europe/Berlin"})[0].key == statistics(STEPS)[0].key


def test_an_unknown_type_is_kept_whole() -> None:
    element = STEPS | {"type": "AcmeScore", "unit": "points", "note": "made up"}

    (kept,) = statistics(element)

    assert (kept.known, kept.value, kept.unit) == (False, 8421.0, "points")
    assert json.loads(kept.details or "") == element


@pytest.mark.parametrize("section", [Section.STATISTICS, Section.SAMPLES])
@pytest.mark.parametrize(
    ("element", "start", "value"),
    [
        (SUMMARY, datetime(2026, 1, 5, tzinfo=UTC), None),
        (SUMMARY | {"start": "2026-01-05T08:00:00Z"}, datetime(2026, 1, 5, 8, tzinfo=UTC), None),
        (BLOOD_TYPE, NO_START, 7.0),
        (BLOOD_TYPE | {"start": "2026-01-05T08:00:00Z"}, datetime(2026, 1, 5, 8, tzinfo=UTC), 7.0),
        (BIRTH_DATE, NO_START, None),
    ],
)
def test_what_there_is_once_is_a_statistic_wherever_it_comes(
    element: dict[str, Any], start: datetime, value: float | None, section: Section
) -> None:
    (kept,) = statistics(element, section=section)

    assert (kept.identifier, kept.aggregation, kept.start, kept.value) == (element["type"], "whole", start, value)
    assert json.loads(kept.details or "") == element


@pytest.mark.parametrize(
    ("element", "field", "code"),
    [
        (3, "", "malformed_record"),
        ({}, "type", "missing_field"),
        ({"type": "HKQuantityTypeIdentifierStepCount"}, "start", "missing_field"),
        (STEPS | {"start": 3}, "start", "wrong_type"),
        (STEPS | {"start": "2026-01-05"}, "start", "invalid_date"),
        (STEPS | {"start": "2026-01-05T00:00:00"}, "start", "naive_date"),
        (STEPS | {"aggregation": None}, "aggregation", "missing_field"),
        (STEPS | {"aggregation": "median"}, "aggregation", "value_unknown"),
        (STEPS | {"value": None}, "value", "missing_field"),
        (STEPS | {"value": "8421"}, "value", "wrong_type"),
        (STEPS | {"unit": None}, "unit", "missing_unit"),
        (STEPS | {"unit": "kg"}, "unit", "unit_mismatch"),
        (STEPS | {"source": {"name": 3}}, "source.name", "wrong_type"),
        (RATE | {"average": "1.2"}, "average", "wrong_type"),
        (RATE | {"unit": "kg"}, "unit", "unit_mismatch"),
        (SUMMARY | {"date": "2026-13-01"}, "date", "invalid_date"),
        (SUMMARY | {"date": 20260105}, "start", "missing_field"),
        ({"type": SUMMARY["type"]}, "start", "missing_field"),
        (SUMMARY | {"aggregation": "sum"}, "value", "missing_field"),
    ],
)
def test_one_bad_statistic_never_sinks_its_neighbours(element: object, field: str, code: str) -> None:
    before, outcome, after = parse(STEPS, element, RATE, section=Section.STATISTICS)

    assert isinstance(before, Statistics) and isinstance(after, Statistics)
    assert outcome == Rejected(index=1, field=field, code=code, detail=reasons()[code])


def test_a_format_without_statistics_says_so() -> None:
    (outcome,) = OpenWearablesFormat().parse(
        json.dumps([STEPS]).encode(),
        section=Section.STATISTICS,
        first_index=0,
        time_zone=None,
        registry=shipped_registry(),
    )

    assert outcome == Rejected(
        index=0, field="", code="statistics_unsupported", detail=reasons()["statistics_unsupported"]
    )


@pytest.mark.parametrize(
    "element",
    [
        STEPS,
        STEPS | {"source": None, "device": None, "time_zone": None, "end": None},
        RATE,
        {name: RATE[name] for name in ("type", "start", "unit", "minimum")},
        STEPS | {"type": "HKCategoryTypeIdentifierSleepAnalysis", "aggregation": "duration", "unit": "hr"},
        {name: member for name, member in STEPS.items() if name != "unit"} | {"aggregation": "count"},
        STEPS | {"type": "AcmeScore"},
        {"type": "AcmeScore", "aggregation": "whole", "start": "2026-01-05T00:00:00Z"},
        SUMMARY,
        SUMMARY | {"aggregation": "whole", "start": "2026-01-05T00:00:00Z"},
        BLOOD_TYPE,
        BIRTH_DATE,
    ],
)
def test_what_the_schema_takes_is_taken(element: dict[str, Any]) -> None:
    body = {"samples": [], "statistics": [element]}

    assert validator().is_valid(body), list(validator().iter_errors(body))
    assert accepted(body)


@pytest.mark.parametrize(
    "element",
    [
        3,
        {},
        {"type": STEPS["type"]},
        {"type": STEPS["type"], "start": STEPS["start"]},
        {"type": STEPS["type"], "start": STEPS["start"], "unit": "count"},
        STEPS | {"aggregation": "median"},
        STEPS | {"aggregation": None},
        STEPS | {"value": None},
        STEPS | {"value": "8421"},
        STEPS | {"unit": None},
        STEPS | {"start": "2026-01-05"},
        STEPS | {"start": None},
        RATE | {"average": "1.2"},
        {name: member for name, member in SUMMARY.items() if name != "date"},
        SUMMARY | {"date": "5 January"},
        SUMMARY | {"aggregation": "sum"},
    ],
)
def test_what_the_schema_refuses_is_refused(element: object) -> None:
    body = {"samples": [], "statistics": [element]}

    assert not validator().is_valid(body)
    assert not accepted(body)
