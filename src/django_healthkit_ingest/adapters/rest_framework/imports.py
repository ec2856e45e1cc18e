"""``imports/``: what a phone sends, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from django_healthkit_ingest.adapters.rest_framework.answers import show_import, show_page
from django_healthkit_ingest.adapters.rest_framework.door import IngestView
from django_healthkit_ingest.adapters.rest_framework.file_bodies import Order, is_form, read_file, read_order
from django_healthkit_ingest.adapters.rest_framework.questions import number
from django_healthkit_ingest.adapters.rest_framework.throttles import note
from django_healthkit_ingest.conf import get_formats, get_settings
from django_healthkit_ingest.exceptions import BodyTooLarge
from django_healthkit_ingest.pipeline.accept import agree
from django_healthkit_ingest.pipeline.cancel import cancel
from django_healthkit_ingest.pipeline.imports import get_import, list_imports, list_rejections
from django_healthkit_ingest.pipeline.intake import Taken, take_body, take_file
from django_healthkit_ingest.pipeline.retry import retry
from django_healthkit_ingest.request_bodies import announced, read_at_most


class ImportsView(IngestView):
    """``GET imports/``, ``POST imports/`` and ``POST imports/<format>/``."""

    open_to_devices = True

    def get_format(self, request: Request, name: str | None) -> str | None:
        """The path's format, else the one the media type means, else None: the envelope or the body decides."""
        if name is not None:
            return name
        media_type = request.content_type.partition(";")[0].strip().lower()
        means = (known for known, wire in get_formats().items() if media_type in wire.media_types)
        return next(means, None)

    def get(self, request: Request) -> Response:
        page = list_imports(
            user=self.user_of(request),
            status=request.query_params.get("status"),
            idempotency_key=request.query_params.get("idempotency_key"),
            body_sha256=request.query_params.get("body_sha256"),
            cursor=request.query_params.get("cursor"),
            size=number(request, "page_size", default=50),
        )
        return show_page(page, request, rows=[show_import(status, request) for status in page.rows])

    def post(self, request: Request, format_name: str | None = None) -> Response:
        if is_form(request):
            return self._answer(request, self._take_form(request, format_name))
        body = read_body(request)
        order = read_order(body, content_encoding=request.headers.get("Content-Encoding"))
        if order is not None:
            return self._answer(request, self._take_order(request, order, format_name))
        taken = take_body(
            body,
            user=self.user_of(request),
            format=self.get_format(request, format_name),
            content_encoding=request.headers.get("Content-Encoding"),
            time_zone=request.query_params.get("time_zone"),
            device=self._device(request),
            lane=request.query_params.get("lane"),
            idempotency_key=request.headers.get("Idempotency-Key"),
        )
        return self._answer(request, taken)

    def _device(self, request: Request) -> str | None:
        return agree("device", self.device_of(request), request.query_params.get("device"))

    def _take_form(self, request: Request, format_name: str | None) -> Taken:
        file, fields = read_file(request)
        with file:
            return take_file(
                file,
                user=self.user_of(request),
                idempotency_key=agree(
                    "idempotency_key", request.headers.get("Idempotency-Key"), fields.get("idempotency_key")
                ),
                **self._agreed(request, fields, format_name),
            )

    def _take_order(self, request: Request, order: Order, format_name: str | None) -> Taken:
        device = (order.device or {}).get("id")
        fields = {"format": order.format, "time_zone": order.time_zone, "device": device, "lane": order.lane}
        return take_file(
            order.upload,
            user=self.user_of(request),
            client=order.client,
            idempotency_key=request.headers.get("Idempotency-Key"),
            **self._agreed(request, fields, format_name),
        )

    def _agreed(self, request: Request, fields: Mapping[str, Any], format_name: str | None) -> dict[str, Any]:
        """What may stand in the query and beside the file."""
        query = {"time_zone": request.query_params.get("time_zone"), "lane": request.query_params.get("lane")}
        query["device"] = self._device(request)
        agreed = {name: agree(name, value, fields.get(name)) for name, value in query.items()}
        return {**agreed, "format": agree("format", self.get_format(request, format_name), fields.get("format"))}

    def _answer(self, request: Request, taken: Taken) -> Response:
        note(request, taken.allowances)
        return self.accepted(request, taken)

    def accepted(self, request: Request, taken: Taken) -> Response:
        """What the client is told about a batch that is committed."""
        shown = show_import(taken.status, request)
        headers = {"Location": shown["url"]}
        if taken.replayed:
            headers["Idempotency-Replayed"] = "true"
        return Response(shown, status=202, headers=headers)


class ImportView(IngestView):
    """``GET imports/<id>/``."""

    open_to_devices = True

    def get(self, request: Request, batch_id: UUID) -> Response:
        wait = number(request, "wait", default=0)
        status = get_import(user=self.user_of(request), import_id=batch_id, wait=wait)
        headers = {"Retry-After": str(status.retry_after)} if status.retry_after else {}
        return Response(show_import(status, request), headers=headers)


class RejectedView(IngestView):
    """``GET imports/<id>/rejected/``."""

    open_to_devices = True

    def get(self, request: Request, batch_id: UUID) -> Response:
        page = list_rejections(
            user=self.user_of(request),
            import_id=batch_id,
            cursor=request.query_params.get("cursor"),
            size=number(request, "page_size", default=100),
        )
        return show_page(page, request)


class RetryView(IngestView):
    """``POST imports/<id>/retry/``."""

    open_to_devices = True

    def post(self, request: Request, batch_id: UUID) -> Response:
        status = retry(user=self.user_of(request), import_id=batch_id)
        return Response(show_import(status, request), status=202)


class CancelView(IngestView):
    """``POST imports/<id>/cancel/``."""

    open_to_devices = True

    def post(self, request: Request, batch_id: UUID) -> Response:
        status = cancel(user=self.user_of(request), import_id=batch_id)
        return Response(show_import(status, request), status=202)


def read_body(request: Request) -> bytes:
    """The raw body, never more than allowed. Raises BrokenOff, BodyTooLarge."""
    limit = get_settings().max_body_bytes
    if (announced(request._request) or 0) > limit:
        raise BodyTooLarge("Send fewer records in one request.")
    return read_at_most(request._request, limit + 1)  # accept refuses what has more than its limit
