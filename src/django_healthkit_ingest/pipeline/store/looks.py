"""How a record, and how a stored row, looks to a record that has no uuid."""

from __future__ import annotations

from django_healthkit_ingest.conf import get_registry
from django_healthkit_ingest.core import samples
from django_healthkit_ingest.core.timestamps import microseconds
from django_healthkit_ingest.core.twins import Likeness, likeness
from django_healthkit_ingest.models import HealthSample


def look(sample: samples.Sample) -> Likeness:
    return likeness(
        identifier=sample.identifier,
        kind=sample.kind,
        unit=_canonical_unit(sample.identifier),
        start=sample.start_us,
        end=sample.end_us,
        value=sample.value,
        category=sample.category,
    )


def look_of_row(row: HealthSample) -> Likeness:
    """``row.type`` should be fetched."""
    known = get_registry().get(row.identifier)
    return likeness(
        identifier=row.identifier,
        kind=known.kind if known is not None else None,
        unit=_canonical_unit(row.identifier),
        start=microseconds(row.start),
        end=microseconds(row.end),
        value=row.value,
        category=row.category,
    )


def _canonical_unit(identifier: str) -> str:
    known = get_registry().get(identifier)
    return known.canonical_unit if known is not None else ""
