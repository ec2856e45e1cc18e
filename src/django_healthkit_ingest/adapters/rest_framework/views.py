"""Our views, to subclass: change who the user is (``get_user``), which format a URL means (``get_format``), or DRF's
own ``authentication_classes``, ``permission_classes`` and ``throttle_classes``, and route the result yourself."""

from __future__ import annotations

from django_healthkit_ingest.adapters.rest_framework.consents import ConsentsView, ConsentView
from django_healthkit_ingest.adapters.rest_framework.devices import DevicesView, DeviceTokenView
from django_healthkit_ingest.adapters.rest_framework.door import IngestView
from django_healthkit_ingest.adapters.rest_framework.imports import (
    CancelView,
    ImportsView,
    ImportView,
    RejectedView,
    RetryView,
)
from django_healthkit_ingest.adapters.rest_framework.privacy import (
    ErasuresView,
    ErasureView,
    ExportFileView,
    ExportsView,
    ExportView,
)
from django_healthkit_ingest.adapters.rest_framework.readings import (
    SamplesView,
    SampleView,
    SeriesView,
    SourcesView,
    SourceView,
    StatisticsView,
    TypesView,
)
from django_healthkit_ingest.adapters.rest_framework.sync_state import ContractView, SyncStateView
from django_healthkit_ingest.adapters.rest_framework.uploads import UploadsView, UploadView

__all__ = [
    "CancelView",
    "ConsentView",
    "ConsentsView",
    "ContractView",
    "DeviceTokenView",
    "DevicesView",
    "ErasureView",
    "ErasuresView",
    "ExportFileView",
    "ExportView",
    "ExportsView",
    "ImportView",
    "ImportsView",
    "IngestView",
    "RejectedView",
    "RetryView",
    "SampleView",
    "SamplesView",
    "SeriesView",
    "SourceView",
    "SourcesView",
    "StatisticsView",
    "SyncStateView",
    "TypesView",
    "UploadView",
    "UploadsView",
]
