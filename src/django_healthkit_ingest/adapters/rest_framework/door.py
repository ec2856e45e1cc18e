"""What our views share: who asks, what they may do, how often, and how everything is answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec
from django.db import connections, transaction
from rest_framework.authentication import BaseAuthentication
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from django_healthkit_ingest.adapters.rest_framework.described import DescribedSchema
from django_healthkit_ingest.adapters.rest_framework.device_tokens import DeviceTokenAuthentication
from django_healthkit_ingest.adapters.rest_framework.problems import to_problem
from django_healthkit_ingest.adapters.rest_framework.throttles import IngestThrottle, note
from django_healthkit_ingest.exceptions import Forbidden, RateLimited, Unauthenticated
from django_healthkit_ingest.pipeline.devices import DeviceView
from django_healthkit_ingest.pipeline.limits import rate_limit_headers


class AlwaysJSON(BaseContentNegotiation):
    """There is one representation; a phone's ``Accept`` header is no reason to refuse its data."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return None

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


class ReadModelRenderer(BaseRenderer):
    """Frozen dataclasses as JSON: instants as RFC 3339 with ``Z``, ids as text."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return b"" if data is None else msgspec.json.encode(data)


class IngestView(APIView):
    """The host's authentication, our device tokens beside it, rate limits, problem details, no parser before the raw
    body."""

    permission_classes = (IsAuthenticated,)
    throttle_classes = (IngestThrottle,)
    parser_classes = ()
    renderer_classes = (ReadModelRenderer,)
    content_negotiation_class = AlwaysJSON
    http_method_names: tuple[str, ...] = ("get", "post", "put", "patch", "delete", "head")
    """Without OPTIONS, whose answer would be the texts of our code; browsers' preflights are for the host's CORS."""
    schema = DescribedSchema()

    device_tokens: ClassVar[bool] = True
    """Whether a device's token is understood here; False leaves it to the host's authentication alone."""
    open_to_devices: ClassVar[bool] = False
    """Whether a device's token is enough here: for what an app needs to import, and nothing else."""

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """Opts out of ``ATOMIC_REQUESTS`` on every database: 202 must come after the commit, not before it."""
        view: Any = super().as_view(**initkwargs)
        for alias in connections:
            view = transaction.non_atomic_requests(using=alias)(view)
        return view

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response | None]:
        return to_problem

    def get_authenticators(self) -> list[BaseAuthentication]:
        """Ours first: the host's own might take a ``Bearer`` of ours for a broken one of theirs."""
        hosts: Sequence[BaseAuthentication] = super().get_authenticators()
        return [DeviceTokenAuthentication(), *hosts] if self.device_tokens else [*hosts]

    def get_authenticate_header(self, request: Request) -> str:
        """The host's challenge, as without our tokens; empty where its authentication has none."""
        hosts = super().get_authenticators()
        challenger = hosts[0] if hosts else DeviceTokenAuthentication()
        return challenger.authenticate_header(request) or ""

    def check_permissions(self, request: Request) -> None:
        super().check_permissions(request)
        if isinstance(request.auth, DeviceView) and not self.open_to_devices:
            raise Forbidden("A device's token may only import: sign in as its user.")

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, RateLimited):
            note(self.request, exc.allowances)
        return super().handle_exception(exc)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        answer = super().finalize_response(request, response, *args, **kwargs)
        for name, value in rate_limit_headers(note(request)).items():
            answer.headers.setdefault(name, value)
        answer.headers.setdefault("Cache-Control", "private, no-store")
        return answer

    def get_user(self, request: Request) -> Any:
        """The user whose data this is; the host's authentication has named one."""
        return request.user

    def whose(self, request: Request) -> Any:
        """A device's token names its user already; ``get_user`` is for whom the host has found."""
        return request.user if isinstance(request.auth, DeviceView) else self.get_user(request)

    def user_of(self, request: Request) -> Any:
        """Never nobody, whatever a host's permissions allow."""
        user = self.whose(request)
        if getattr(user, "pk", None) is None:
            raise Unauthenticated("Keep the data, sign in and send it again.")
        return user

    def device_of(self, request: Request) -> str | None:
        """The installation that the token belongs to; None for every other authentication."""
        token = request.auth
        return (token.device_id or None) if isinstance(token, DeviceView) else None
