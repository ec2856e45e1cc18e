"""``POST uploads/`` and ``PUT uploads/<token>/``: a file too large for a request of its own."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from django_healthkit_ingest.adapters.rest_framework.door import IngestView
from django_healthkit_ingest.adapters.rest_framework.throttles import note
from django_healthkit_ingest.pipeline.limits import charge
from django_healthkit_ingest.pipeline.offer import MEDIA_TYPE, offer_upload, receive
from django_healthkit_ingest.request_bodies import announced, read_pieces


class UploadsView(IngestView):
    """``POST uploads/``."""

    open_to_devices = True

    def post(self, request: Request) -> Response:
        offer = offer_upload(user=self.user_of(request))
        ours = reverse("healthkit_ingest:upload-detail", args=[offer.token], request=request)
        body = {
            "upload": offer.token,
            "method": "PUT",
            "url": offer.url or ours,
            "headers": {"Content-Type": MEDIA_TYPE},
            "expires_at": offer.expires_at,
        }
        return Response(body, status=201)


class UploadView(IngestView):
    """``PUT uploads/<token>/``, where the storage takes no PUT of its own."""

    open_to_devices = True

    def put(self, request: Request, token: str) -> Response:
        size = announced(request._request) or 0
        note(request, charge(user_id=self.user_of(request).pk, device=self.device_of(request), bytes=size))
        receive(read_pieces(request._request), token=token, user=self.user_of(request))
        return Response(status=204)
