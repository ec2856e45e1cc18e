from __future__ import annotations

from django.urls import path

from django_healthkit_ingest.adapters.strawberry.views import HealthKitGraphQLView

app_name = "healthkit_ingest_graphql"

urlpatterns = [path("health/graphql/", HealthKitGraphQLView.as_view(), name="graphql")]
