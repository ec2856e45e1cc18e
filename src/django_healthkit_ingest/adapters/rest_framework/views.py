"""A request becomes ``accept()``, a status becomes an answer; nothing is decided here.

Subclass a view to change who the user is (``get_user``), which format a URL means (``get_format``), or DRF's own
``authentication_classes`` and ``permission_classes``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from django.db import connections, transaction
from django.http import Http404
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.pagination import CursorPagination
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from django_healthkit_ingest.adapters.rest_framework.file_bodies import (
    BrokenOff,
    Order,
    announced,
    is_form,
    read_form,
    read_order,
)
from django_healthkit_ingest.adapters.rest_framework.problems import to_problem, unavailable
from django_healthkit_ingest.adapters.rest_framework.shapes import import_shape, import_url, rejection_shape
from django_healthkit_ingest.conf import get_formats, get_settings
from django_healthkit_ingest.exceptions import BodyTooLarge
from django_healthkit_ingest.models import ImportBatch, RejectedSample, database
from django_healthkit_ingest.pipeline.accept import accept, agree
from django_healthkit_ingest.pipeline.status import describe
from django_healthkit_ingest.pipeline.upload import accept_upload


class AlwaysJSON(BaseContentNegotiation):
    """There is one representation; a phone's ``Accept`` header is no reason to refuse its data."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return None

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


class IngestView(APIView):
    """What our views share: the host's authentication, problem details, no parser before the raw body."""

    permission_classes = (IsAuthenticated,)
    parser_classes = ()
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = AlwaysJSON

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """Opts out of ``ATOMIC_REQUESTS`` on every database: 202 must come after the commit, not before it."""
        view: Any = super().as_view(**initkwargs)
        for alias in connections:
            view = transaction.non_atomic_requests(using=alias)(view)
        return view

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response | None]:
        return to_problem

    def get_user(self, request: Request) -> Any:
        """The user whose data this is; the host's authentication has named one."""
        return request.user

    def get_batch(self, request: Request, batch_id: UUID) -> ImportBatch:
        """The user's own import. Raises Http404 for everybody else's as for none."""
        batches = ImportBatch.objects.using(database()).for_user(self.get_user(request))
        batch = batches.filter(uuid=batch_id).first()
        if batch is None:
            raise Http404
        return batch


class ImportsView(IngestView):
    """``POST imports/`` and ``POST imports/<format>/``."""

    def get_format(self, request: Request, name: str | None) -> str | None:
        """The path's format, else the one the media type means, else None: the envelope or the body decides."""
        if name is not None:
            return name
        media_type = request.content_type.partition(";")[0].strip().lower()
        means = (known for known, wire in get_formats().items() if media_type in wire.media_types)
        return next(means, None)

    def post(self, request: Request, format_name: str | None = None) -> Response:
        if is_form(request):
            try:
                return self.accepted(request, self._accept_form(request, format_name))
            except BrokenOff:
                return unavailable()
        body = read_body(request)
        if body is None:
            return unavailable()
        order = read_order(body, content_encoding=request.headers.get("Content-Encoding"))
        if order is not None:
            return self.accepted(request, self._accept_order(request, order, format_name))
        batch = accept(
            body,
            user=self.get_user(request),
            format=self.get_format(request, format_name),
            content_encoding=request.headers.get("Content-Encoding"),
            time_zone=request.query_params.get("time_zone"),
            device=request.query_params.get("device"),
            lane=request.query_params.get("lane"),
            idempotency_key=request.headers.get("Idempotency-Key"),
        )
        return self.accepted(request, batch)

    def _accept_form(self, request: Request, format_name: str | None) -> ImportBatch:
        file, fields = read_form(request)
        with file:
            return accept_upload(
                file,
                user=self.get_user(request),
                idempotency_key=agree(
                    "idempotency_key", request.headers.get("Idempotency-Key"), fields.get("idempotency_key")
                ),
                **self._agreed(request, fields, format_name),
            )

    def _accept_order(self, request: Request, order: Order, format_name: str | None) -> ImportBatch:
        device = (order.device or {}).get("id")
        fields = {"format": order.format, "time_zone": order.time_zone, "device": device, "lane": order.lane}
        return accept_upload(
            order.upload,
            user=self.get_user(request),
            client=order.client,
            idempotency_key=request.headers.get("Idempotency-Key"),
            **self._agreed(request, fields, format_name),
        )

    def _agreed(self, request: Request, fields: Mapping[str, Any], format_name: str | None) -> dict[str, Any]:
        """What may stand in the query and beside the file."""
        inside = {name: fields.get(name) for name in ("time_zone", "device", "lane")}
        agreed = {name: agree(name, request.query_params.get(name), value) for name, value in inside.items()}
        return {**agreed, "format": agree("format", self.get_format(request, format_name), fields.get("format"))}

    def accepted(self, request: Request, batch: ImportBatch) -> Response:
        """What the client is told about a batch that is committed."""
        status = describe(batch)
        headers = {"Location": import_url(status, request)}
        if batch.replayed:
            headers["Idempotency-Replayed"] = "true"
        return Response(import_shape(status, request), status=202, headers=headers)


class ImportView(IngestView):
    """``GET imports/<id>/``."""

    def get(self, request: Request, batch_id: UUID) -> Response:
        status = describe(self.get_batch(request, batch_id))
        headers = {"Retry-After": str(status.retry_after)} if status.retry_after else {}
        return Response(import_shape(status, request), headers=headers)


class RejectionPagination(CursorPagination):
    page_size = 100
    page_size_query_param = "page_size"
    max_page_size = 1000
    ordering = "id"


class RejectedView(IngestView):
    """``GET imports/<id>/rejected/``."""

    def get(self, request: Request, batch_id: UUID) -> Response:
        batch = self.get_batch(request, batch_id)
        rows = RejectedSample.objects.using(database()).filter(chunk__batch=batch).select_related("chunk")
        pages = RejectionPagination()
        page = pages.paginate_queryset(rows, request, view=self) or []
        return pages.get_paginated_response([rejection_shape(row) for row in page])


def read_body(request: Request) -> bytes | None:
    """The raw body, never more than allowed; None when it broke off before its announced length.

    Reads the stream, not ``request.body``: Django's own limit (``DATA_UPLOAD_MAX_MEMORY_SIZE``) would answer 400 to a
    body that is merely large.
    """
    limit = get_settings().max_body_bytes
    length = announced(request._request) or 0
    if length > limit:
        raise BodyTooLarge("Send fewer records in one request.")
    body: bytes = request._request.read(limit + 1)
    return None if len(body) < length else body
