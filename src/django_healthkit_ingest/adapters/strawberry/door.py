"""What our fields share: who asks, what they may do, how often, on which thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import strawberry
from asgiref.sync import sync_to_async
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from strawberry.extensions import FieldExtension
from strawberry.types import Info
from strawberry.types.field import StrawberryField

from django_healthkit_ingest.adapters.strawberry.problems import translated
from django_healthkit_ingest.exceptions import Forbidden, RateLimited, TryLater, Unauthenticated
from django_healthkit_ingest.pipeline.devices import DeviceView, authenticate, is_device_token
from django_healthkit_ingest.pipeline.limits import Allowance, charge, rate_limit_headers

_ALLOWANCES = "_healthkit_ingest_allowances"
_DEVICE = "_healthkit_ingest_device"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who was let in; what each of our fields gets for its parent, so that none is ever resolved for nobody."""

    user: Any
    device: DeviceView | None
    info: Info[Any, Any]
    parent: Any = None
    """Of a field of one of our types: the value it belongs to."""

    @property
    def device_id(self) -> str | None:
        """The installation that the token belongs to; None for every other authentication."""
        return (self.device.device_id or None) if self.device is not None else None

    def url(self, name: str, argument: object) -> str | None:
        """Of the other door, where the host has it; None without it, or outside HTTP."""
        request = request_of(self.info)
        try:
            path = reverse(f"healthkit_ingest:{name}", args=[argument])
        except NoReverseMatch:
            return None
        return request.build_absolute_uri(path) if request is not None else None


class HealthKitDoor:
    """Hooks of the types that offer our fields, for a host's own types to override."""

    healthkit_device_tokens: ClassVar[bool] = True
    """Whether a device's token is understood here; False leaves it to the host's authentication alone."""

    @classmethod
    def get_healthkit_user(cls, info: Info[Any, Any]) -> Any:
        """The user whose data this is; the host's authentication has named one. A device's token names its own."""
        return getattr(request_of(info), "user", None)


class Doorkeeper(FieldExtension):
    """Lets a visitor in, counts the request, translates errors. Each field has one of its own."""

    def __init__(self, *, open_to_devices: bool) -> None:
        self.open_to_devices = open_to_devices
        self.defaults: dict[str, Any] = {}

    def apply(self, field: StrawberryField) -> None:
        chosen = {each.python_name: each.default for each in field.arguments}
        self.defaults = {name: None if default is strawberry.UNSET else default for name, default in chosen.items()}

    def resolve(  # type: ignore[override]  # positional, since a field's arguments may have such names
        self, next_: Callable[..., Any], source: Any, info: Info[Any, Any], /, **arguments: Any
    ) -> Any:
        given = {name: value for name, value in arguments.items() if value is not None}

        def work() -> Any:
            with translated(info.field_name), _told_when(info):
                visitor = self.admit(source, info)
                device = visitor.device_id or _named_device(arguments)
                note(info, charge(user_id=visitor.user.pk, device=device, requests=1))
                return next_(visitor, info, **{**self.defaults, **given, "visitor": visitor})

        return on_a_thread(work)

    def admit(self, source: Any, info: Info[Any, Any]) -> Visitor:
        """Raises Unauthenticated, Forbidden."""
        known = getattr(source, "visitor", None)
        if isinstance(known, Visitor):
            return replace(known, info=info, parent=source)
        return self._identify(info)

    def _identify(self, info: Info[Any, Any]) -> Visitor:
        hooks = _hooks_of(info)
        known = find_device(request_of(info)) if hooks.healthkit_device_tokens else None
        if known is not None and not self.open_to_devices:
            raise Forbidden("A device's token may only import: sign in as its user.")
        user, device = known or (hooks.get_healthkit_user(info), None)
        if getattr(user, "pk", None) is None:
            raise Unauthenticated("Keep the data, sign in and send it again.")
        return Visitor(user=user, device=device, info=info)


def offer(resolver: Callable[..., Any], *, description: str, open_to_devices: bool = False) -> Any:
    """A field of ours. ``open_to_devices``: a device's token is enough, for what an app needs to import."""
    keeper = Doorkeeper(open_to_devices=open_to_devices)
    return strawberry.field(resolver=resolver, description=description, extensions=[keeper])


def on_a_thread(work: Callable[[], Any]) -> Any:
    """Here, or, where an event loop is running that must not wait for a database, an awaitable on its thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    return sync_to_async(work)()


def request_of(info: Info[Any, Any]) -> HttpRequest | None:
    request: HttpRequest | None = _in_context(info, "request")
    return request


def find_device(request: HttpRequest | None) -> tuple[Any, DeviceView] | None:
    """User and device of ``Authorization: Bearer hki_…``; None for everything else. Looked up once a request.

    Raises Unauthenticated.
    """
    scheme, _, token = str(getattr(request, "META", {}).get("HTTP_AUTHORIZATION", "")).partition(" ")
    if scheme.lower() != "bearer" or not is_device_token(token.strip()):
        return None
    known: tuple[Any, DeviceView] | None = getattr(request, _DEVICE, None)
    if known is None:
        known = authenticate(token.strip())
        setattr(request, _DEVICE, known)
    return known


def note(info: Info[Any, Any], allowances: Iterable[Allowance]) -> None:
    """What is left of each bucket, for the answer's headers; the latest word on a bucket counts."""
    request = request_of(info)
    known: dict[str, Allowance] = getattr(request, _ALLOWANCES, {})
    known.update((each.name, each) for each in allowances)
    if request is not None:
        setattr(request, _ALLOWANCES, known)
    tell(info, rate_limit_headers(tuple(known.values())))


def tell(info: Info[Any, Any], headers: Mapping[str, str]) -> None:
    """Header fields of the HTTP answer, where the schema is asked over HTTP."""
    response = _in_context(info, "response")
    for name, value in headers.items() if response is not None else ():
        response[name] = value


@contextmanager
def _told_when(info: Info[Any, Any]) -> Iterator[None]:
    """Header fields of errors after which the same is welcome later."""
    try:
        yield
    except TryLater as error:
        if isinstance(error, RateLimited):
            note(info, error.allowances)
        tell(info, {"Retry-After": str(error.retry_after)})
        raise


def _hooks_of(info: Info[Any, Any]) -> type[HealthKitDoor]:
    """The host's type that offers the field: strawberry resolves without an instance of it."""
    definition = info._raw_info.parent_type.extensions["strawberry-definition"]
    origin: type[HealthKitDoor] = definition.origin
    return origin


def _in_context(info: Info[Any, Any], name: str) -> Any:
    context = info.context
    return context.get(name) if isinstance(context, Mapping) else getattr(context, name, None)


def _named_device(arguments: Mapping[str, Any]) -> str | None:
    named = arguments.get("device") or getattr(arguments.get("input"), "device", None)
    return getattr(named, "id", named) or None
