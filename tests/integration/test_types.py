from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.management import call_command

from django_healthkit_ingest.conf import get_registry
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import quantity

pytestmark = pytest.mark.django_db(databases="__all__")


def listed(capsys: Any, *arguments: str) -> list[dict[str, Any]]:
    call_command("healthkit_ingest_types", "--json", *arguments)
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


def test_known_types_come_with_what_is_known(capsys: Any) -> None:
    rows = {row["identifier"]: row for row in listed(capsys)}

    assert len(rows) == len(get_registry())
    assert rows["HKQuantityTypeIdentifierHeartRate"] == {
        "identifier": "HKQuantityTypeIdentifierHeartRate",
        "kind": "quantity",
        "unit": "count/min",
        "ucum": "/min",
        "loinc": "8867-4",
        "aggregation": "discrete_temporally_weighted",
        "group": "vitals",
        "introduced_ios": "8.0",
        "aliases": [],
        "categories": {},
    }
    assert rows["HKCategoryTypeIdentifierMenstrualFlow"]["categories"]["4"] == "Heavy"


def test_unknown_types_are_listed_once_they_arrive_until_they_are_known(user: Any, capsys: Any, settings: Any) -> None:
    before = listed(capsys, "--unknown")
    ingest(healthkit_body(quantity("com.acme.Mood", unit="count"), quantity()), user=user)

    arrived = listed(capsys, "--unknown")
    settings.HEALTHKIT_INGEST = {
        "SAMPLE_TYPES": [
            {"identifier": "com.acme.Mood", "kind": "quantity", "canonical_unit": "count", "dimension": "scalar_count"}
        ]
    }

    assert before == []
    assert [(row["identifier"], row["kind"]) for row in arrived] == [("com.acme.Mood", None)]
    assert arrived[0].keys() == listed(capsys)[0].keys()
    assert listed(capsys, "--unknown") == []


def test_people_get_a_line_per_type(user: Any, capsys: Any) -> None:
    ingest(healthkit_body(quantity("com.acme.Mood")), user=user)

    call_command("healthkit_ingest_types")

    lines = capsys.readouterr().out.splitlines()
    assert "HKQuantityTypeIdentifierHeartRate  quantity  count/min" in lines
    assert "com.acme.Mood  unknown" in lines
