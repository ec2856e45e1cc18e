"""The ready-made view: ``HealthKitGraphQLView.as_view(schema=...)``, for our schema and for a host's."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.decorators import classonlymethod
from django.views.decorators.csrf import csrf_exempt
from strawberry.django.views import GraphQLView

from django_healthkit_ingest.adapters.strawberry import requests
from django_healthkit_ingest.adapters.strawberry.door import find_device
from django_healthkit_ingest.adapters.strawberry.problems import describe, find, to_error
from django_healthkit_ingest.adapters.strawberry.schema import schema as ready_made
from django_healthkit_ingest.exceptions import InvalidEnvelope, InvalidQuery, MalformedBody
from django_healthkit_ingest.pipeline.problems import FORBIDDEN, UNAUTHENTICATED, Problem

CONTENT_TYPE = "application/problem+json"

BY_ITSELF = frozenset({"", "basic", "digest", "negotiate", "ntlm"})
"""Schemes of ``Authorization`` that browsers remember and send again to whoever asks."""

METHOD_NOT_ALLOWED = Problem(code="method_not_allowed", title="Method not allowed", detail="Send a POST.")


class HealthKitGraphQLView(GraphQLView[Any, Any]):
    """POST only, without an IDE and without batches; what cannot be GraphQL is answered as a problem.

    What a browser sends by itself, cookies above all, is only good with Django's CSRF token. A token in the
    ``Authorization`` header needs none: no other site can make a browser send it.
    """

    schema = ready_made
    device_tokens: ClassVar[bool] = True
    """Whether a device's token is understood here; False leaves it to the host's authentication alone."""
    open_to_strangers: ClassVar[bool] = False
    """Whether nobody may ask too; for schemas with fields of the host's that need no user."""

    def __init__(self, **options: Any) -> None:
        fixed = {"graphql_ide": None, "allow_queries_via_get": False, "multipart_uploads_enabled": True}
        super().__init__(**{"schema": self.schema, **options, **fixed})

    @classonlymethod
    def as_view(cls, **initkwargs: Any) -> Any:  # noqa: N805 - as Django names it
        """Opts out of ``ATOMIC_REQUESTS`` on every database, for an answer must come after the commit; and of the
        middleware's CSRF check, which would ask apps for a token."""
        view: Any = csrf_exempt(super().as_view(**initkwargs))
        for alias in connections:
            view = transaction.non_atomic_requests(using=alias)(view)
        return view

    def authenticate(self, request: HttpRequest) -> Any:
        """The user by the host's authentication; here, whom its middleware has found. None for nobody."""
        return getattr(request, "user", None)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            answer = self._answer(request, *args, **kwargs)
        except Exception as error:
            told = find(error)
            if told is None:
                raise
            answer = problem(told)
        answer.headers.setdefault("Cache-Control", "private, no-store")
        return answer

    def _answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method != "POST":
            refused = problem(METHOD_NOT_ALLOWED)
            refused.headers["Allow"] = "POST"
            return refused
        stranger = self._stranger(request)
        if stranger is not None:
            return stranger
        requests.read(request)
        if _is_sent_by_itself(request) and not _has_csrf_token(request):
            return problem(FORBIDDEN)
        try:
            answer = super().dispatch(request, *args, **kwargs)
        except UnicodeDecodeError:
            raise MalformedBody(requests.ONE_OBJECT) from None
        if answer.headers["Content-Type"].startswith("text/plain"):  # a refusal of strawberry's
            raise InvalidQuery("Send 'query', and 'variables' and 'operationName' where the document needs them.")
        return answer

    def _stranger(self, request: HttpRequest) -> HttpResponseBase | None:
        """What nobody is told, before anything of the body is read."""
        try:
            if self.device_tokens and find_device(request) is not None:
                return None
            request.user = self.authenticate(request)
            if self.open_to_strangers or getattr(request.user, "pk", None) is not None:
                return None
            told = UNAUTHENTICATED
        except Exception as error:
            found = find(error)
            if found is None:
                raise
            told = found
        response = self.get_sub_response(request)
        return self.create_response({"data": None, "errors": [to_error(told).formatted]}, response)

    def decode_json(self, data: str | bytes) -> object:
        return requests.decode_json(data)

    def parse_multipart(self, request: Any) -> dict[str, str]:
        try:
            return super().parse_multipart(request)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError) as error:
            if find(error) is not None:
                raise
            raise InvalidEnvelope("The form's 'map' does not fit its files or 'operations'.") from None


def problem(told: Problem) -> HttpResponse:
    shape = {name: value for name, value in describe(told).items() if name != "retryAfter"}
    headers = {"Retry-After": str(told.retry_after)} if told.retry_after is not None else {}
    return HttpResponse(msgspec.json.encode(shape), status=told.status, content_type=CONTENT_TYPE, headers=headers)


class _Check(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


def _is_sent_by_itself(request: HttpRequest) -> bool:
    return str(request.META.get("HTTP_AUTHORIZATION", "")).partition(" ")[0].lower() in BY_ITSELF


def _has_csrf_token(request: HttpRequest) -> bool:
    check = _Check(lambda request: HttpResponse())
    check.process_request(request)
    return check.process_view(request, lambda request: HttpResponse(), (), {}) is None
