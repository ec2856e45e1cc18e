"""``Authorization: Bearer hki_…``: one app installation, signed in by a token of its own."""

from __future__ import annotations

from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from django_healthkit_ingest.pipeline.devices import DeviceView, authenticate, is_device_token


class DeviceTokenAuthentication(BaseAuthentication):
    """``request.auth`` is then the ``DeviceView``. Our views put it before the host's classes; elsewhere it has no
    place, for other views do not know that such a token may only import."""

    def authenticate(self, request: Request) -> tuple[Any, DeviceView] | None:
        scheme, _, token = str(request.META.get("HTTP_AUTHORIZATION", "")).partition(" ")
        if scheme.lower() != "bearer" or not is_device_token(token.strip()):
            return None
        return authenticate(token.strip())

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
