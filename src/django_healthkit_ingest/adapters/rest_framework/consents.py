"""``consents/``: which types a user lets us keep."""

from __future__ import annotations

import msgspec
from rest_framework.request import Request
from rest_framework.response import Response

from django_healthkit_ingest.adapters.rest_framework.door import IngestView
from django_healthkit_ingest.adapters.rest_framework.questions import order
from django_healthkit_ingest.pipeline.consent import list_consents
from django_healthkit_ingest.pipeline.decide import decide


class ConsentOrder(msgspec.Struct, frozen=True, kw_only=True):
    allowed: bool
    erase: bool = False
    """With ``allowed`` false: also erase what is stored of the type."""


class ConsentsView(IngestView):
    """``GET consents/``: every type that was ever decided upon; all others are allowed."""

    open_to_devices = True

    def get(self, request: Request) -> Response:
        rows = list_consents(user=self.user_of(request))
        return Response({"results": rows, "next": None, "previous": None})


class ConsentView(IngestView):
    """``PUT consents/<type>/``."""

    def put(self, request: Request, identifier: str) -> Response:
        wanted = order(request, ConsentOrder)
        decision = decide(user=self.user_of(request), identifier=identifier, allowed=wanted.allowed, erase=wanted.erase)
        return Response(decision)
