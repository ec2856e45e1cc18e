"""Where an app installation may safely resume: the anchors of types whose records are all in the tables."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from django_healthkit_ingest.adapters.rest_framework.problems import problem
from django_healthkit_ingest.adapters.rest_framework.shapes import instant
from django_healthkit_ingest.adapters.rest_framework.views import IngestView
from django_healthkit_ingest.models import SyncState, database


class SyncStateView(IngestView):
    """``GET sync-state/?device=``."""

    def get(self, request: Request) -> Response:
        device_id = request.query_params.get("device")
        if not device_id:
            return problem(
                "invalid_query",
                title="The query cannot be answered",
                detail="Name the installation whose anchors are asked for, as its requests do: ?device=<device.id>.",
            )
        states = SyncState.objects.using(database()).for_user(self.get_user(request)).of_device(device_id)
        rows = states.order_by("type__identifier")
        return Response({"next": None, "previous": None, "results": [sync_state_shape(state) for state in rows]})


def sync_state_shape(state: SyncState) -> dict[str, Any]:
    return {"type": state.type.identifier, "anchor": state.anchor, "released_at": instant(state.released_at)}
