"""What is stored: samples, statistics, their types and their sources."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from rest_framework.request import Request
from rest_framework.response import Response

from django_healthkit_ingest.adapters.rest_framework.answers import show_page
from django_healthkit_ingest.adapters.rest_framework.door import IngestView
from django_healthkit_ingest.adapters.rest_framework.questions import instant, number, order, uuid
from django_healthkit_ingest.core.precedence import MAX_PRECEDENCE
from django_healthkit_ingest.pipeline.catalogue import list_types
from django_healthkit_ingest.pipeline.forget import forget_sample
from django_healthkit_ingest.pipeline.samples import get_sample, get_series, list_samples
from django_healthkit_ingest.pipeline.sources import list_sources, set_precedence
from django_healthkit_ingest.pipeline.statistics import list_statistics


def _filters(request: Request) -> dict[str, Any]:
    return {
        "type": request.query_params.get("type", ""),
        "start": instant(request, "start"),
        "end": instant(request, "end"),
        "source": uuid(request, "source"),
        "updated_since": instant(request, "updated_since"),
        "cursor": request.query_params.get("cursor"),
        "size": number(request, "page_size", default=500),
    }


class SamplesView(IngestView):
    """``GET samples/?type=&start=&end=&source=&updated_since=``."""

    def get(self, request: Request) -> Response:
        return show_page(list_samples(user=self.user_of(request), **_filters(request)), request)


class SampleView(IngestView):
    """``GET`` and ``DELETE samples/<id>/``."""

    def get(self, request: Request, sample_id: str) -> Response:
        return Response(get_sample(user=self.user_of(request), sample_id=sample_id))

    def delete(self, request: Request, sample_id: str) -> Response:
        forget_sample(user=self.user_of(request), sample_id=sample_id)
        return Response(status=204)


class SeriesView(IngestView):
    """``GET samples/<id>/series/``."""

    def get(self, request: Request, sample_id: str) -> Response:
        return Response(get_series(user=self.user_of(request), sample_id=sample_id))


class StatisticsView(IngestView):
    """``GET statistics/?type=&aggregation=&start=&end=&source=&updated_since=``."""

    def get(self, request: Request) -> Response:
        aggregation = request.query_params.get("aggregation")
        page = list_statistics(user=self.user_of(request), aggregation=aggregation, **_filters(request))
        return show_page(page, request)


class TypesView(IngestView):
    """``GET types/``."""

    open_to_devices = True

    def get(self, request: Request) -> Response:
        return Response({"results": list_types(), "next": None, "previous": None})


class SourcesView(IngestView):
    """``GET sources/``."""

    def get(self, request: Request) -> Response:
        page = list_sources(
            user=self.user_of(request),
            cursor=request.query_params.get("cursor"),
            size=number(request, "page_size", default=100),
        )
        return show_page(page, request)


class SourceOrder(msgspec.Struct, frozen=True, kw_only=True):
    precedence: Annotated[int, msgspec.Meta(extra_json_schema={"minimum": 1, "maximum": MAX_PRECEDENCE})]
    """1 is trusted the most."""


class SourceView(IngestView):
    """``PATCH sources/<id>/``."""

    def patch(self, request: Request, source_id: UUID) -> Response:
        wanted = order(request, SourceOrder)
        return Response(set_precedence(user=self.user_of(request), source_id=source_id, precedence=wanted.precedence))
