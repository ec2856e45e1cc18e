from __future__ import annotations

from importlib.util import find_spec

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("health/", include("django_healthkit_ingest.adapters.rest_framework.urls")),
    path("", include("django_healthkit_ingest.adapters.rest_framework.compat_urls")),
    path("", include("django_healthkit_ingest.adapters.health.urls")),
]
if find_spec("strawberry") is not None:
    urlpatterns += [path("", include("django_healthkit_ingest.adapters.strawberry.urls"))]
