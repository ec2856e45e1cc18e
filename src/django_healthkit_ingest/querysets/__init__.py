"""Every state change as one conditional UPDATE that answers how many rows it changed, and every reading.

Nobody reads a state, decides, and writes it back: between the read and the write another worker may have been.
"""

from __future__ import annotations

from django_healthkit_ingest.querysets.batches import ImportBatchQuerySet
from django_healthkit_ingest.querysets.chunks import ImportChunkQuerySet
from django_healthkit_ingest.querysets.orders import (
    ConsentQuerySet,
    DeviceTokenQuerySet,
    ErasureQuerySet,
    ExportQuerySet,
)
from django_healthkit_ingest.querysets.owned import OwnedQuerySet
from django_healthkit_ingest.querysets.readings import (
    HealthSampleQuerySet,
    SourceQuerySet,
    StatisticQuerySet,
    SyncStateQuerySet,
)
from django_healthkit_ingest.querysets.uploads import ImportUploadQuerySet

__all__ = [
    "ConsentQuerySet",
    "DeviceTokenQuerySet",
    "ErasureQuerySet",
    "ExportQuerySet",
    "HealthSampleQuerySet",
    "ImportBatchQuerySet",
    "ImportChunkQuerySet",
    "ImportUploadQuerySet",
    "OwnedQuerySet",
    "SourceQuerySet",
    "StatisticQuerySet",
    "SyncStateQuerySet",
]
