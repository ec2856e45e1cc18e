"""``erasures/`` and ``exports/``: a user's data, gone or taken along."""

from __future__ import annotations

from uuid import UUID

import msgspec
from django.http import StreamingHttpResponse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from django_healthkit_ingest.adapters.rest_framework.door import IngestView
from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.pipeline.erase import get_erasure, order_erasure
from django_healthkit_ingest.pipeline.export import ExportStatus, get_export, open_export, order_export


class ErasuresView(IngestView):
    """``POST erasures/``: everything of the user's. Single types are switched off by their consent."""

    def post(self, request: Request) -> Response:
        erasure = order_erasure(user_id=self.user_of(request).pk)
        url = reverse("healthkit_ingest:erasure-detail", args=[erasure.id], request=request)
        return Response(erasure, status=202, headers={"Location": url})


class ErasureView(IngestView):
    """``GET erasures/<id>/``: the receipt."""

    def get(self, request: Request, erasure_id: UUID) -> Response:
        return Response(get_erasure(user=self.user_of(request), erasure_id=erasure_id))


class ExportsView(IngestView):
    """``POST exports/``."""

    def post(self, request: Request) -> Response:
        export = order_export(user=self.user_of(request))
        url = reverse("healthkit_ingest:export-detail", args=[export.id], request=request)
        return Response(show_export(export, request), status=202, headers={"Location": url})


class ExportView(IngestView):
    """``GET exports/<id>/``."""

    def get(self, request: Request, export_id: UUID) -> Response:
        export = get_export(user=self.user_of(request), export_id=export_id)
        return Response(show_export(export, request))


class ExportFileView(IngestView):
    """``GET exports/<id>/file/``: gzip-compressed JSON lines, streamed."""

    def get(self, request: Request, export_id: UUID) -> StreamingHttpResponse:
        pieces, size = open_export(user=self.user_of(request), export_id=export_id)
        answer = StreamingHttpResponse(pieces, content_type="application/gzip")
        answer["Content-Length"] = str(size)
        answer["Content-Disposition"] = f'attachment; filename="healthkit-{export_id}.jsonl.gz"'
        return answer


def show_export(export: ExportStatus, request: Request) -> dict[str, object]:
    """``file`` is where it can be fetched, null as long as it cannot."""
    file = None
    if export.status == Status.COMPLETED:
        file = reverse("healthkit_ingest:export-file", args=[export.id], request=request)
    return {**msgspec.to_builtins(export), "file": file}
