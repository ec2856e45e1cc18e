"""``devices/``: tokens for single app installations. A device's own token does not open this."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec
from rest_framework.request import Request
from rest_framework.response import Response

from django_healthkit_ingest.adapters.rest_framework.answers import show_page
from django_healthkit_ingest.adapters.rest_framework.door import IngestView
from django_healthkit_ingest.adapters.rest_framework.questions import number, order
from django_healthkit_ingest.pipeline.devices import create_device, list_devices, revoke_device

_Text = Annotated[str, msgspec.Meta(extra_json_schema={"maxLength": 128})]


class DeviceOrder(msgspec.Struct, frozen=True, kw_only=True):
    name: _Text = ""
    """The user's word for the device."""
    device_id: _Text = ""
    """The installation's own id; the token then sends for no other."""


class DevicesView(IngestView):
    """``GET devices/`` and ``POST devices/``, which shows the token, once."""

    def get(self, request: Request) -> Response:
        page = list_devices(
            user=self.user_of(request),
            cursor=request.query_params.get("cursor"),
            size=number(request, "page_size", default=100),
        )
        return show_page(page, request)

    def post(self, request: Request) -> Response:
        wanted = order(request, DeviceOrder)
        new = create_device(user=self.user_of(request), name=wanted.name, device_id=wanted.device_id)
        return Response({**msgspec.to_builtins(new.device), "token": new.token}, status=201)


class DeviceTokenView(IngestView):
    """``DELETE devices/<id>/``."""

    def delete(self, request: Request, device: UUID) -> Response:
        revoke_device(user=self.user_of(request), device=device)
        return Response(status=204)
