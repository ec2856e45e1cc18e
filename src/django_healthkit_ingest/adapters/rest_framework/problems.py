"""Our errors as RFC 9457 problem details. Clients throw away what gets a 4xx, so this table is a data-loss API."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from django_healthkit_ingest.exceptions import HealthKitIngestError, TryLater

logger = logging.getLogger("django_healthkit_ingest")

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER = 30
"""Seconds a client should wait after trouble of our own."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client is told about one code: the HTTP status and what to do with the bytes it still has."""

    status: int
    retry: str


ANSWERS = {
    "malformed_body": Answer(400, "FIX"),
    "invalid_envelope": Answer(400, "FIX"),
    "invalid_query": Answer(400, "FIX"),
    "time_zone_required": Answer(400, "FIX"),
    "corrupt_encoding": Answer(400, "FIX"),
    "invalid_upload": Answer(400, "FIX"),
    "unauthenticated": Answer(401, "AUTH"),
    "forbidden": Answer(403, "AUTH"),
    "not_found": Answer(404, "NEVER"),
    "method_not_allowed": Answer(405, "NEVER"),
    "body_too_large": Answer(413, "SPLIT"),
    "unknown_format": Answer(415, "FIX"),
    "unsupported_encoding": Answer(415, "FIX"),
    "idempotency_mismatch": Answer(422, "FIX"),
    "rate_limited": Answer(429, "LATER"),
    "user_backlog_full": Answer(429, "LATER"),
    "backlog_full": Answer(503, "LATER"),
    "unavailable": Answer(503, "LATER"),
}


def problem(
    code: str, *, title: str, detail: str, errors: list[dict[str, Any]] | None = None, status: int | None = None
) -> Response:
    answer = ANSWERS[code]
    body = {
        "type": f"urn:healthkit-ingest:problem:{code}",
        "code": code,
        "title": title,
        "status": status or answer.status,
        "detail": detail,
        "errors": errors or [],
        "retry": answer.retry,
    }
    headers = {"Retry-After": str(RETRY_AFTER)} if answer.retry == "LATER" else {}
    return Response(body, status=status or answer.status, content_type=CONTENT_TYPE, headers=headers)


def to_problem(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler for our views; None lets an unknown error become the host's 500."""
    if isinstance(error, HealthKitIngestError) and error.code in ANSWERS:
        response = problem(
            error.code, title=error.title, detail=error.detail, errors=[asdict(each) for each in error.errors]
        )
        if isinstance(error, TryLater):
            response["Retry-After"] = str(error.retry_after)
        return response
    if isinstance(error, OperationalError | InterfaceError):
        logger.error("The database is away (%s): asked the client to come back.", type(error).__name__)
        return unavailable()
    if isinstance(error, Http404 | exceptions.NotFound):
        return problem("not_found", title="Not found", detail="There is no such import of yours.")
    if isinstance(error, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        return _authentication(error)
    if isinstance(error, exceptions.PermissionDenied | PermissionDenied):
        return problem("forbidden", title="Not allowed", detail="Keep the data, sign in as its user, send again.")
    if isinstance(error, exceptions.MethodNotAllowed):
        return problem("method_not_allowed", title="Method not allowed", detail="See the documentation of this URL.")
    if isinstance(error, exceptions.Throttled):
        response = problem("rate_limited", title="Too many requests", detail="Keep the data and send it later.")
        wait: float | None = getattr(error, "wait", None)
        if wait is not None:
            response["Retry-After"] = str(max(1, round(wait)))
        return response
    return None


def unavailable() -> Response:
    return problem("unavailable", title="Not available now", detail="Keep the data and send the same bytes later.")


def _authentication(error: exceptions.APIException) -> Response:
    """DRF answers 403 where the authenticator has no challenge to send; both say AUTH, so no client drops data."""
    challenge = getattr(error, "auth_header", None)
    response = problem(
        "unauthenticated",
        title="Sign in",
        detail="Keep the data, sign in and send it again.",
        status=None if challenge else 403,
    )
    if challenge:
        response["WWW-Authenticate"] = challenge
    return response
