"""The tables: fields, constraints, ``__str__``. What happens to them is the pipeline's."""

from __future__ import annotations

from django_healthkit_ingest.models.batch import ImportBatch
from django_healthkit_ingest.models.chunk import ImportChunk, RejectedSample
from django_healthkit_ingest.models.consent import Consent
from django_healthkit_ingest.models.database import database
from django_healthkit_ingest.models.device_token import DeviceToken
from django_healthkit_ingest.models.erasure import Erasure
from django_healthkit_ingest.models.export import Export
from django_healthkit_ingest.models.memory import Membership, Tally, Tombstone, Trace
from django_healthkit_ingest.models.sample import HealthSample, SampleSeries, Statistic
from django_healthkit_ingest.models.source import Source, TypeIdentifier
from django_healthkit_ingest.models.switch import Switch
from django_healthkit_ingest.models.sync_state import SyncState
from django_healthkit_ingest.models.upload import ImportUpload

__all__ = [
    "Consent",
    "DeviceToken",
    "Erasure",
    "Export",
    "HealthSample",
    "ImportBatch",
    "ImportChunk",
    "ImportUpload",
    "Membership",
    "RejectedSample",
    "SampleSeries",
    "Source",
    "Statistic",
    "Switch",
    "SyncState",
    "Tally",
    "Tombstone",
    "Trace",
    "TypeIdentifier",
    "database",
]
