"""The tables: fields, constraints, ``__str__``. What happens to them is the pipeline's."""

from __future__ import annotations

from django_healthkit_ingest.models.batch import ImportBatch
from django_healthkit_ingest.models.chunk import ImportChunk, RejectedSample
from django_healthkit_ingest.models.database import database
from django_healthkit_ingest.models.sample import HealthSample, Tombstone
from django_healthkit_ingest.models.source import Source, TypeIdentifier

__all__ = [
    "HealthSample",
    "ImportBatch",
    "ImportChunk",
    "RejectedSample",
    "Source",
    "Tombstone",
    "TypeIdentifier",
    "database",
]
