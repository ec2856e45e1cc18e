"""``POST uploads/`` and ``PUT uploads/<token>/``: a file too large for a request of its own."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from django_healthkit_ingest.adapters.rest_framework.file_bodies import BrokenOff, read_pieces
from django_healthkit_ingest.adapters.rest_framework.problems import unavailable
from django_healthkit_ingest.adapters.rest_framework.shapes import instant
from django_healthkit_ingest.adapters.rest_framework.views import IngestView
from django_healthkit_ingest.pipeline.offer import MEDIA_TYPE, offer_upload, receive


class UploadsView(IngestView):
    """``POST uploads/``."""

    def post(self, request: Request) -> Response:
        offer = offer_upload(user=self.get_user(request))
        ours = reverse("healthkit_ingest:upload-detail", args=[offer.token], request=request)
        body = {
            "upload": offer.token,
            "method": "PUT",
            "url": offer.url or ours,
            "headers": {"Content-Type": MEDIA_TYPE},
            "expires_at": instant(offer.expires_at),
        }
        return Response(body, status=201)


class UploadView(IngestView):
    """``PUT uploads/<token>/``, where the storage takes no PUT of its own."""

    def put(self, request: Request, token: str) -> Response:
        try:
            receive(read_pieces(request), token=token, user=self.get_user(request))
        except BrokenOff:
            return unavailable()
        return Response(status=204)
