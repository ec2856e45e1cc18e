from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from django_healthkit_ingest.models import HealthSample, ImportBatch, database
from django_healthkit_ingest.testing import flutter_body, healthkit_body
from django_healthkit_ingest.testing.payloads import correlation, flutter_point, quantity, statistic

DIASTOLIC = "HKQuantityTypeIdentifierBloodPressureDiastolic"
HEART_RATE = "HKQuantityTypeIdentifierHeartRate"
PRESSURE = "HKCorrelationTypeIdentifierBloodPressure"
STEPS = "HKQuantityTypeIdentifierStepCount"
SYSTOLIC = "HKQuantityTypeIdentifierBloodPressureSystolic"


def run(tmp_path: Path, body: bytes, capsys: Any, *arguments: str) -> str:
    file = tmp_path / "body"
    file.write_bytes(body)
    call_command("healthkit_ingest_inspect", str(file), *arguments)
    return str(capsys.readouterr().out)


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_is_counted_and_judged(tmp_path: Path, capsys: Any, packed: bool) -> None:
    body = healthkit_body(
        quantity(), quantity(), quantity("HKNew"), quantity(unit="kg"), deletions=[quantity()["uuid"]], extra=1
    )

    found = json.loads(run(tmp_path, gzip.compress(body) if packed else body, capsys, "--json"))

    assert found == {
        "format": "healthkit",
        "received": 5,
        "samples": 3,
        "deletions": 1,
        "statistics": 0,
        "members": 0,
        "rejected": 1,
        "unknown_types": {"HKNew": 1},
        "types": {HEART_RATE: 2, "HKNew": 1},
        "rejections": [{"section": "samples", "index": 3, "field": "unit", "code": "unit_mismatch"}],
        "warnings": ["extra"],
    }


def test_statistics_and_members_are_counted_for_what_they_are(tmp_path: Path, capsys: Any) -> None:
    pressure = correlation(quantity(SYSTOLIC, value=121, unit="mmHg"), quantity(DIASTOLIC, value=79, unit="mmHg"))
    sent = [statistic(), statistic(aggregation="average", value=9.5), statistic("HKNew"), statistic(unit="kg")]

    found = json.loads(run(tmp_path, healthkit_body(pressure, quantity(), statistics=sent), capsys, "--json"))

    counts = ("received", "samples", "deletions", "statistics", "members", "rejected")
    assert [found[name] for name in counts] == [6, 2, 0, 3, 2, 1]
    assert found["types"] == {PRESSURE: 1, HEART_RATE: 1, STEPS: 2, "HKNew": 1}
    assert found["unknown_types"] == {"HKNew": 1}
    assert found["rejections"] == [{"section": "statistics", "index": 3, "field": "unit", "code": "unit_mismatch"}]


@pytest.mark.django_db(databases="__all__")
def test_nothing_is_stored(tmp_path: Path, capsys: Any) -> None:
    run(tmp_path, healthkit_body(quantity()), capsys)

    assert not ImportBatch.objects.using(database()).exists()
    assert not HealthSample.objects.using(database()).exists()


def test_people_get_lines_without_values(tmp_path: Path, capsys: Any) -> None:
    records = [quantity(unit="secret") for _ in range(25)]

    told = run(tmp_path, healthkit_body(quantity("HKNew"), *records), capsys)

    assert "format: healthkit" in told
    assert "1 HKNew (unknown type, stored whole)" in told
    assert "rejected: samples[1] unit: unit_unknown" in told
    assert "and 5 more" in told
    assert "secret" not in told


def test_format_and_zone_can_be_given(tmp_path: Path, capsys: Any) -> None:
    body = flutter_body(flutter_point(), time_zone=None)

    told = run(tmp_path, body, capsys, "--format", "flutter", "--time-zone", "Europe/Berlin")

    assert "samples: 1" in told


@pytest.mark.parametrize(
    ("body", "message"),
    [(b"{", "malformed_body"), (flutter_body(flutter_point(), time_zone=None), "/samples/0/dateFrom")],
)
def test_a_body_that_would_be_refused_says_why(tmp_path: Path, capsys: Any, body: bytes, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        run(tmp_path, body, capsys)


def test_a_missing_file_is_named_as_such() -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("healthkit_ingest_inspect", "no/such/file")
