from __future__ import annotations

from django.urls import path

from django_healthkit_ingest.adapters.rest_framework.sync_state import SyncStateView
from django_healthkit_ingest.adapters.rest_framework.uploads import UploadsView, UploadView
from django_healthkit_ingest.adapters.rest_framework.views import ImportsView, ImportView, RejectedView

app_name = "healthkit_ingest"

urlpatterns = [
    path("imports/", ImportsView.as_view(), name="import-list"),
    path("imports/<uuid:batch_id>/", ImportView.as_view(), name="import-detail"),
    path("imports/<uuid:batch_id>/rejected/", RejectedView.as_view(), name="import-rejected"),
    path("imports/<slug:format_name>/", ImportsView.as_view(), name="import-format"),
    path("uploads/", UploadsView.as_view(), name="upload-list"),
    path("uploads/<str:token>/", UploadView.as_view(), name="upload-detail"),
    path("sync-state/", SyncStateView.as_view(), name="sync-state"),
]
