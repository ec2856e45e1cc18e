"""What an app asks before it sends: from where it may resume, and what the server wants."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from django_healthkit_ingest.adapters.rest_framework.door import IngestView
from django_healthkit_ingest.pipeline.accept import agree
from django_healthkit_ingest.pipeline.contract import contract
from django_healthkit_ingest.pipeline.sync_state import sync_state


class SyncStateView(IngestView):
    """``GET sync-state/?device=``."""

    open_to_devices = True

    def get(self, request: Request) -> Response:
        device = agree("device", self.device_of(request), request.query_params.get("device"))
        rows = sync_state(user=self.user_of(request), device=device)
        return Response({"results": rows, "next": None, "previous": None})


class ContractView(IngestView):
    """``GET contract/?device=``."""

    open_to_devices = True

    def get(self, request: Request) -> Response:
        device = agree("device", self.device_of(request), request.query_params.get("device"))
        return Response(contract(user=self.user_of(request), device=device))
