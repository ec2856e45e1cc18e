from __future__ import annotations

from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path
from rest_framework.authtoken.views import obtain_auth_token

urlpatterns = [
    path("admin/", admin.site.urls),
    path("token/", obtain_auth_token),
    path("", include("django_healthkit_ingest.adapters.health.urls")),
    path("health/", include("django_healthkit_ingest.adapters.rest_framework.urls")),
    path("", include("django_healthkit_ingest.adapters.strawberry.urls")),
    *staticfiles_urlpatterns(),  # with DEBUG only
]
