"""DRF's view of the rate limits that both doors share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from django_healthkit_ingest.pipeline.limits import Allowance, charge

_KEY = "_healthkit_ingest_allowances"


class IngestThrottle(BaseThrottle):
    """One request, of the user and of the device that its token or its query names. Raises RateLimited itself, which
    knows the seconds and the buckets; DRF's own 429 would not."""

    def allow_request(self, request: Request, view: Any) -> bool:
        user = view.whose(request)
        if getattr(user, "pk", None) is not None:
            device = view.device_of(request) or request.query_params.get("device")
            note(request, charge(user_id=user.pk, device=device, requests=1))
        return True


def note(request: Request, allowances: Iterable[Allowance] = ()) -> tuple[Allowance, ...]:
    """What is left of each bucket after this request, for its headers; the latest word on a bucket counts."""
    known: dict[str, Allowance] = getattr(request, _KEY, {})
    known.update((each.name, each) for each in allowances)
    setattr(request, _KEY, known)
    return tuple(known.values())
