from __future__ import annotations

from django.urls import path

from django_healthkit_ingest.adapters.health.views import healthz, readyz

urlpatterns = [
    path("healthz", healthz),
    path("readyz", readyz),
]
