"""What a request asks: query parameters and small JSON bodies, each fault named with its cure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

import msgspec
from rest_framework.request import Request

from django_healthkit_ingest.exceptions import InvalidEnvelope, InvalidQuery, MalformedBody
from django_healthkit_ingest.request_bodies import read_at_most

SMALL = 16 * 1024
"""Bytes of a body that gives an order and brings no data."""

Order = TypeVar("Order")


def instant(request: Request, name: str) -> datetime | None:
    """Raises InvalidQuery."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        # An unescaped plus of an offset arrives as a space.
        moment = datetime.fromisoformat(text.strip().replace(" ", "+"))
        # PostgreSQL knows fewer offsets than Python, and of some the instant lies outside of what either knows.
        return moment.astimezone(UTC) if moment.tzinfo is not None else moment
    except (ValueError, OverflowError):
        raise InvalidQuery(f"{name!r} must be an instant such as 2026-01-01T08:00:00Z.") from None


def uuid(request: Request, name: str) -> UUID | None:
    """Raises InvalidQuery."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise InvalidQuery(f"{name!r} must be a UUID.") from None


def number(request: Request, name: str, *, default: int) -> int:
    """A whole number. Raises InvalidQuery."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise InvalidQuery(f"{name!r} must be a whole number.")
    return int(text)


def order(request: Request, shape: type[Order]) -> Order:
    """The JSON body; none at all is ``{}``. Raises MalformedBody, InvalidEnvelope, BrokenOff."""
    body = read_at_most(request._request, SMALL + 1)
    if len(body) > SMALL:
        raise InvalidEnvelope("The body is too long for an order.")
    try:
        return msgspec.json.decode(body or b"{}", type=shape)
    except msgspec.ValidationError as error:
        # msgspec names types and places; a value only of enums, which our orders have none of.
        raise InvalidEnvelope(f"The body does not fit: {error}.") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise MalformedBody("Send one well-formed JSON object.") from None
