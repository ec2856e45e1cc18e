"""From a body of Health Auto Export to rows, and the same period again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from django_healthkit_ingest.models import HealthSample, Statistic
from django_healthkit_ingest.testing import ingest

pytestmark = pytest.mark.django_db(databases="__all__")

EIGHT = "2026-01-05 08:00:00 +0100"
DATA: dict[str, Any] = {
    "metrics": [
        {"name": "step_count", "units": "count", "data": [{"date": EIGHT, "qty": 300, "source": "Watch"}]},
        {"name": "heart_rate", "units": "bpm", "data": [{"date": EIGHT, "Min": 58, "Avg": 61.5, "Max": 70}]},
        {
            "name": "sleep_analysis",
            "units": "hr",
            "data": [{"date": "2026-01-05", "core": 4, "deep": 1.5, "sleepStart": "2026-01-04 23:10:00 +0100"}],
        },
        {"name": "moon_phase", "units": "deg", "data": [{"date": EIGHT, "qty": 90}]},
    ],
    "workouts": [
        {
            "id": "50135A58-6D6B-4B0E-8F0E-8A51E6A6B2E1",
            "name": "Outdoor Run",
            "start": EIGHT,
            "end": EIGHT,
            "route": [{"latitude": 52.5, "longitude": 13.4, "timestamp": EIGHT}],
        }
    ],
    "symptoms": [{"name": "Fiebre", "severity": "Leve", "start": EIGHT}],
}


def body(**data: Any) -> bytes:
    return json.dumps({"data": data}).encode()


def test_points_are_statistics_and_all_else_samples(user: Any) -> None:
    batch = ingest(body(**DATA), user=user)

    statistics = [
        (each.type.identifier, each.aggregation, each.value, each.bucket)
        for each in Statistic.objects.filter(user=user).order_by("pk")
    ]
    assert batch.format == "health_auto_export"
    assert sorted(statistics, key=str) == [
        ("HKCategoryTypeIdentifierSleepAnalysis", "duration", 14400.0, "AsleepCore"),
        ("HKCategoryTypeIdentifierSleepAnalysis", "duration", 5400.0, "AsleepDeep"),
        ("HKCategoryTypeIdentifierSleepAnalysis", "whole", None, ""),
        ("HKQuantityTypeIdentifierHeartRate", "average", 61.5, ""),
        ("HKQuantityTypeIdentifierHeartRate", "maximum", 70.0, ""),
        ("HKQuantityTypeIdentifierHeartRate", "minimum", 58.0, ""),
        ("HKQuantityTypeIdentifierStepCount", "sum", 300.0, ""),
        ("HealthAutoExport.moon_phase", "whole", 90.0, ""),
    ]
    samples = {each.type.identifier: each.category for each in HealthSample.objects.for_user(user)}
    assert samples == {"HKWorkoutTypeIdentifier": 37, "HealthAutoExport.symptom": None}


@pytest.mark.parametrize("qties", [(300, 812.5), (812.5, 300), (300, 812.5, 300)])
def test_the_period_that_knows_more_stays_whatever_comes_first(user: Any, qties: tuple[float, ...]) -> None:
    for qty in qties:
        point = {"date": EIGHT, "qty": qty, "source": "iPhone|Watch"}
        ingest(body(metrics=[{"name": "step_count", "units": "count", "data": [point]}]), user=user)

    assert [each.value for each in Statistic.objects.filter(user=user)] == [812.5]


def test_the_same_body_again_adds_nothing(user: Any) -> None:
    ingest(body(**DATA), user=user)
    rows = Statistic.objects.count(), HealthSample.objects.for_user(user).count()

    ingest(body(**DATA) + b" ", user=user)

    assert (Statistic.objects.count(), HealthSample.objects.for_user(user).count()) == rows == (8, 2)
