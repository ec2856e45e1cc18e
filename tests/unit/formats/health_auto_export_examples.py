"""Reading one record of Health Auto Export; every value is made up."""

from __future__ import annotations

import json
from typing import Any

from django_healthkit_ingest.core.formats.base import Envelope
from django_healthkit_ingest.core.formats.envelope import join
from django_healthkit_ingest.core.formats.health_auto_export import HealthAutoExportFormat
from django_healthkit_ingest.core.registry import shipped_registry
from django_healthkit_ingest.core.samples import Parsed, Rejected, Sample, Statistic, Statistics

WIRE = HealthAutoExportFormat()
EIGHT = "2026-01-05 08:00:00 +0100"
NINE = "2026-01-05 09:00:00 +0100"


def split(body: object, *, time_zone: str | None = None) -> Envelope:
    return WIRE.split(json.dumps(body).encode(), time_zone=time_zone)


def parse(data: dict[str, Any], *, time_zone: str | None = None) -> list[Parsed]:
    """What becomes of a body's records, section by section."""
    envelope = split({"data": data}, time_zone=time_zone)
    outcomes: list[Parsed] = []
    for section, raws in envelope.records.items():
        outcomes += WIRE.parse(
            join(raws), section=section, first_index=0, time_zone=envelope.time_zone, registry=shipped_registry()
        )
    return outcomes


def metric(name: object, units: object, *points: object) -> dict[str, Any]:
    return {"metrics": [{"name": name, "units": units, "data": list(points)}]}


def statistics(name: str, units: str | None, point: dict[str, Any]) -> tuple[Statistic, ...]:
    (outcome,) = parse(metric(name, units, {"date": EIGHT, **point}))
    assert isinstance(outcome, Statistics), outcome
    return outcome.values


def statistic(name: str, units: str | None, point: dict[str, Any]) -> Statistic:
    (value,) = statistics(name, units, point)
    return value


def sample(kind: str, element: dict[str, Any]) -> Sample:
    (outcome,) = parse({kind: [element]})
    assert isinstance(outcome, Sample), outcome
    return outcome


def rejected(data: dict[str, Any], *, time_zone: str | None = None) -> tuple[str, str]:
    (outcome,) = parse(data, time_zone=time_zone)
    assert isinstance(outcome, Rejected), outcome
    return outcome.field, outcome.code
