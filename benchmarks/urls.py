from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from benchmarks.baselines.floor import FloorView, SilentFloorView
from benchmarks.baselines.inline import InlineView
from django_healthkit_ingest.adapters.rest_framework.views import ImportsView
from django_healthkit_ingest.queues import captured

_imports: Any = ImportsView.as_view()


@csrf_exempt
def silent_imports(request: HttpRequest) -> HttpResponseBase:
    """Ours without its message: what is left when the broker costs nothing."""
    with captured():
        answer: HttpResponseBase = _imports(request)
    return answer


urlpatterns = [
    path("", include("example_project.urls")),
    path("baselines/floor/", FloorView.as_view()),
    path("baselines/floor/silent/", SilentFloorView.as_view()),
    path("baselines/imports/silent/", silent_imports),
    path("baselines/inline/", InlineView.as_view()),
]
