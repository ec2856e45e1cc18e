"""The floor: what any view costs that knows its user and tells a worker. It stores nothing and looks at nothing."""

from __future__ import annotations

from rest_framework.authentication import TokenAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from django_healthkit_ingest.core.states import Lane
from django_healthkit_ingest.queues import DISPATCH_BATCH, enqueue


class SilentFloorView(APIView):
    """The body is received and dropped."""

    authentication_classes = (TokenAuthentication,)
    permission_classes = (IsAuthenticated,)

    def post(self, request: Request) -> Response:
        received = len(request._request.body)
        self.tell(request)
        return Response({"status": "PENDING", "received": received}, status=202)

    def tell(self, request: Request) -> None:
        """Nobody."""


class FloorView(SilentFloorView):
    """One message, the way the package sends its own: in a thread, waited for until the broker has it."""

    def tell(self, request: Request) -> None:
        if not enqueue(DISPATCH_BATCH, user_id=request.user.pk, lane=Lane.LIVE, batch_id=0):
            raise RuntimeError("The broker did not take the message: the floor would be too low.")
