from __future__ import annotations

from django.urls import path

from django_healthkit_ingest.adapters.rest_framework.views import ImportsView, ImportView, RejectedView

app_name = "healthkit_ingest"

urlpatterns = [
    path("imports/", ImportsView.as_view(), name="import-list"),
    path("imports/<uuid:batch_id>/", ImportView.as_view(), name="import-detail"),
    path("imports/<uuid:batch_id>/rejected/", RejectedView.as_view(), name="import-rejected"),
    path("imports/<slug:format_name>/", ImportsView.as_view(), name="import-format"),
]
