"""What comes over HTTP before it is GraphQL: bounded, decoded, whole."""

from __future__ import annotations

from typing import Any

import msgspec
from django.http import HttpRequest

from django_healthkit_ingest.adapters.strawberry.keys import check_keys
from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.core.encodings import decode_body
from django_healthkit_ingest.core.json_text import replace_lone_surrogates
from django_healthkit_ingest.exceptions import BodyTooLarge, InvalidQuery, MalformedBody
from django_healthkit_ingest.request_bodies import FORM, announced, read_at_most, read_form

JSON = "application/json"

ONE_OBJECT = "Send one well-formed JSON object in UTF-8, not nested too deeply."

DOCUMENT_BYTES = 64 * 1024
"""What a request may have beside the body it brings: document, operation name, other variables."""


def read(request: HttpRequest) -> None:
    """``request.body``, decoded, or the form is then in memory, its files on disk; everything within its bounds.

    Raises InvalidQuery, BodyTooLarge, CorruptEncoding, UnsupportedEncoding, InvalidEnvelope, Unavailable.
    """
    if request.content_type == JSON:
        _read_json(request)
    elif request.content_type == FORM:
        _read_form(request)
    else:
        raise InvalidQuery(f"Send {JSON}, or {FORM} where there are files.")


def _read_json(request: HttpRequest) -> None:
    """The decoded size is bounded by ``MAX_BODY_BYTES``, too: what arrives as a JSON value becomes a tree of Python
    objects, ten times as large.
    """
    limits = get_settings()
    limit = limits.max_body_bytes + DOCUMENT_BYTES
    length = announced(request) or 0
    body = read_at_most(request, limit + 1) if length <= limit else b""
    if max(length, len(body)) > limit:
        raise BodyTooLarge("Send fewer records in one request.")
    most = min(limits.max_decoded_bytes, limits.max_body_bytes) + DOCUMENT_BYTES
    # Django's own limit (DATA_UPLOAD_MAX_MEMORY_SIZE) would answer 400 to a body that is merely large.
    request._body = decode_body(body, content_encoding=request.headers.get("Content-Encoding"), max_bytes=most)


def _read_form(request: HttpRequest) -> None:
    """``request.POST`` and ``request.FILES`` are then filled."""
    request._post, request._files = read_form(request)  # type: ignore[attr-defined]


def decode_json(text: str | bytes) -> dict[str, Any]:
    """One JSON object; half an emoji in it is U+FFFD, as at the other door. Raises MalformedBody, InvalidQuery for a
    batch of operations, and InvalidEnvelope.
    """
    try:
        decoded, whole = _decode(text.encode() if isinstance(text, str) else text)
    except (msgspec.DecodeError, RecursionError, ValueError):
        raise MalformedBody(ONE_OBJECT) from None
    if not isinstance(decoded, dict):
        raise InvalidQuery("Send one operation, as a JSON object with 'query' and 'variables'.")
    check_keys(whole)
    return decoded


def _decode(text: bytes) -> tuple[Any, bytes]:
    """And the text that could be read."""
    try:
        return msgspec.json.decode(text), text
    except msgspec.ValidationError:  # a number out of bounds
        raise
    except msgspec.DecodeError:
        repaired = replace_lone_surrogates(text)
        return msgspec.json.decode(repaired), repaired
