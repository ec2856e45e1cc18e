from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from django_healthkit_ingest.pipeline.readiness import obstacle

View = Callable[[HttpRequest], HttpResponse]


def _outside_transactions(view: View) -> View:
    """``ATOMIC_REQUESTS`` would ask the database first, and answer 500 when it is away."""

    @wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        return view(request)

    for alias in connections:
        answer = transaction.non_atomic_requests(using=alias)(answer)
    return answer


@_outside_transactions
@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers; nothing else is asked. For a load balancer, which replaces a task that fails it."""
    return HttpResponse("ok", content_type="text/plain")


@_outside_transactions
@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 if an import sent now would be accepted, else 503 with one word for the reason."""
    reason = obstacle()
    return HttpResponse(reason or "ok", content_type="text/plain", status=503 if reason else 200)
