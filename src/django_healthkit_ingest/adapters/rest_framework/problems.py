"""Our errors, and DRF's, as RFC 9457 problem details; what each means is ``pipeline.problems``' table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
from django.core.exceptions import PermissionDenied, TooManyFieldsSent
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from django_healthkit_ingest.exceptions import Unauthenticated
from django_healthkit_ingest.pipeline.problems import (
    FORBIDDEN,
    NOT_FOUND,
    RETRY_AFTER,
    UNAUTHENTICATED,
    Problem,
    find_problem,
)

CONTENT_TYPE = "application/problem+json"

METHOD_NOT_ALLOWED = Problem(
    code="method_not_allowed", title="Method not allowed", detail="See the documentation of this URL."
)
TOO_MANY_FIELDS = Problem(
    code="invalid_query",
    title="The query cannot be answered",
    detail="The query has more parameters than Django reads.",
)
THROTTLED = Problem(
    code="rate_limited", title="Too many requests", detail="Keep the data and send it later.", retry_after=RETRY_AFTER
)


def problem(told: Problem, *, status: int | None = None) -> Response:
    shape = {
        "type": told.type,
        "code": told.code,
        "title": told.title,
        "status": status or told.status,
        "detail": told.detail,
        "errors": msgspec.to_builtins(told.errors),
        "retry": told.retry,
    }
    headers = {"Retry-After": str(told.retry_after)} if told.retry_after is not None else {}
    return Response(shape, status=status or told.status, content_type=CONTENT_TYPE, headers=headers)


def to_problem(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler for our views; None lets an unknown error become the host's 500."""
    if isinstance(error, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        return _challenge(UNAUTHENTICATED, getattr(error, "auth_header", None))
    told = find_problem(error)
    if told is not None and isinstance(error, Unauthenticated):
        view = context.get("view")
        return _challenge(told, view.get_authenticate_header(context["request"]) if view is not None else None)
    if told is not None:
        return problem(told)
    if isinstance(error, TooManyFieldsSent):
        return problem(TOO_MANY_FIELDS)
    if isinstance(error, Http404 | exceptions.NotFound):
        return problem(NOT_FOUND)
    if isinstance(error, exceptions.PermissionDenied | PermissionDenied):
        return problem(FORBIDDEN)
    if isinstance(error, exceptions.MethodNotAllowed):
        response = problem(METHOD_NOT_ALLOWED)
        view = context.get("view")
        if view is not None:
            response["Allow"] = ", ".join(view.allowed_methods)
        return response
    if isinstance(error, exceptions.Throttled):
        wait: float | None = getattr(error, "wait", None)
        return problem(THROTTLED if wait is None else replace(THROTTLED, retry_after=max(1, round(wait))))
    return None


def _challenge(told: Problem, header: str | None) -> Response:
    """DRF answers 403 where the authenticator has no challenge to send; both say AUTH, so no client drops data."""
    response = problem(told, status=None if header else 403)
    if header:
        response["WWW-Authenticate"] = header
    return response
