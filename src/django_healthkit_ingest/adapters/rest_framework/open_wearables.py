"""The URL and the answer that the mobile SDKs of open-wearables expect (github.com/the-momentum/open-wearables)."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from django_healthkit_ingest.adapters.rest_framework.imports import ImportsView
from django_healthkit_ingest.pipeline.intake import Taken


class OpenWearablesSyncView(ImportsView):
    """``POST api/v1/sdk/users/<user>/sync``: the body is read as ``open_wearables``, the answer is their 202.

    The host's authentication still decides the user; the path must name the same one, or the answer is 403 (``AUTH``).
    """

    http_method_names = ("post",)

    def get_user_name(self, user: Any) -> str:
        """How the app names the signed-in user in the path; the primary key unless a subclass knows better."""
        return str(user.pk)

    def get_format(self, request: Request, name: str | None) -> str | None:
        return "open_wearables"

    def post(self, request: Request, user: str) -> Response:  # type: ignore[override]
        if user != self.get_user_name(self.user_of(request)):
            raise PermissionDenied
        return super().post(request)

    def accepted(self, request: Request, taken: Taken) -> Response:
        body = {"status_code": 202, "response": "accepted", "batch_id": str(taken.status.id)}
        return Response(body, status=202)
