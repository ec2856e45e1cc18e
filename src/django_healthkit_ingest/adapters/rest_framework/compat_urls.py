"""Fixed URLs of foreign SDKs: ``path("", include("django_healthkit_ingest.adapters.rest_framework.compat_urls"))``."""

from __future__ import annotations

from django.urls import path

from django_healthkit_ingest.adapters.rest_framework.open_wearables import OpenWearablesSyncView

app_name = "healthkit_ingest_compat"

urlpatterns = [
    path("api/v1/sdk/users/<str:user>/sync", OpenWearablesSyncView.as_view(), name="open-wearables-sync"),
    path("api/v1/sdk/users/<str:user>/sync/apple", OpenWearablesSyncView.as_view(), name="open-wearables-sync-apple"),
]
