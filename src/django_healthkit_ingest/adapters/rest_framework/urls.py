from __future__ import annotations

from django.urls import path

from django_healthkit_ingest.adapters.rest_framework import views

app_name = "healthkit_ingest"

urlpatterns = [
    path("imports/", views.ImportsView.as_view(), name="import-list"),
    path("imports/<uuid:batch_id>/", views.ImportView.as_view(), name="import-detail"),
    path("imports/<uuid:batch_id>/rejected/", views.RejectedView.as_view(), name="import-rejected"),
    path("imports/<uuid:batch_id>/retry/", views.RetryView.as_view(), name="import-retry"),
    path("imports/<uuid:batch_id>/cancel/", views.CancelView.as_view(), name="import-cancel"),
    path("imports/<slug:format_name>/", views.ImportsView.as_view(http_method_names=["post"]), name="import-format"),
    path("uploads/", views.UploadsView.as_view(), name="upload-list"),
    path("uploads/<str:token>/", views.UploadView.as_view(), name="upload-detail"),
    path("samples/", views.SamplesView.as_view(), name="sample-list"),
    path("samples/<str:sample_id>/", views.SampleView.as_view(), name="sample-detail"),
    path("samples/<str:sample_id>/series/", views.SeriesView.as_view(), name="sample-series"),
    path("statistics/", views.StatisticsView.as_view(), name="statistic-list"),
    path("types/", views.TypesView.as_view(), name="type-list"),
    path("sources/", views.SourcesView.as_view(), name="source-list"),
    path("sources/<uuid:source_id>/", views.SourceView.as_view(), name="source-detail"),
    path("sync-state/", views.SyncStateView.as_view(), name="sync-state"),
    path("contract/", views.ContractView.as_view(), name="contract"),
    path("consents/", views.ConsentsView.as_view(), name="consent-list"),
    path("consents/<str:identifier>/", views.ConsentView.as_view(), name="consent-detail"),
    path("erasures/", views.ErasuresView.as_view(), name="erasure-list"),
    path("erasures/<uuid:erasure_id>/", views.ErasureView.as_view(), name="erasure-detail"),
    path("exports/", views.ExportsView.as_view(), name="export-list"),
    path("exports/<uuid:export_id>/", views.ExportView.as_view(), name="export-detail"),
    path("exports/<uuid:export_id>/file/", views.ExportFileView.as_view(), name="export-file"),
    path("devices/", views.DevicesView.as_view(), name="device-list"),
    path("devices/<uuid:device>/", views.DeviceTokenView.as_view(), name="device-detail"),
]
