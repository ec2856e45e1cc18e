"""What comes over HTTP before it is GraphQL: bounded, decoded, whole."""

from __future__ import annotations

from typing import Any

import msgspec
from django.core.exceptions import SuspiciousOperation
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.http import HttpRequest, UnreadablePostError
from django.http.multipartparser import MultiPartParserError

from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.core.encodings import decode_body
from django_healthkit_ingest.exceptions import BodyTooLarge, InvalidEnvelope, InvalidQuery, MalformedBody, Unavailable
from django_healthkit_ingest.pipeline.files import check_size
from django_healthkit_ingest.pipeline.problems import KEEP, RETRY_AFTER

JSON = "application/json"
FORM = "multipart/form-data"
PIECE = 64 * 1024

ONE_OBJECT = "Send one well-formed JSON object in UTF-8, not nested too deeply."

DOCUMENT_BYTES = 64 * 1024
"""What a request may have beside the body it brings: document, operation name, other variables."""


class BoundedUploadHandler(TemporaryFileUploadHandler):
    """The files of a request on their way to the disk, refused as soon as they are too large."""

    received = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        self.received += len(raw_data)
        check_size(self.received)
        return super().receive_data_chunk(raw_data, start)


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
    length = _announced(request)
    if length > limit:
        raise BodyTooLarge("Send fewer records in one request.")
    try:
        body = request.read(limit + 1)
    except UnreadablePostError:
        raise _broken_off() from None
    if len(body) < length:
        raise _broken_off()
    if len(body) > limit:
        raise BodyTooLarge("Send fewer records in one request.")
    most = min(limits.max_decoded_bytes, limits.max_body_bytes) + DOCUMENT_BYTES
    # Django's own limit (DATA_UPLOAD_MAX_MEMORY_SIZE) would answer 400 to a body that is merely large.
    request._body = decode_body(body, content_encoding=request.headers.get("Content-Encoding"), max_bytes=most)


def _read_form(request: HttpRequest) -> None:
    """``request.POST`` and ``request.FILES`` are then filled."""
    handler = BoundedUploadHandler(request)
    counted = _Counted(request)
    request.upload_handlers = [handler]
    try:
        form = _parse(request, counted)
    except Exception:
        handler.upload_interrupted()  # Django tells it of some of these only
        raise
    if form is None:
        raise InvalidEnvelope("The form cannot be read; send multipart/form-data, the body as a file of it.")
    request._post, request._files = form  # type: ignore[attr-defined]


def _parse(request: HttpRequest, counted: _Counted) -> Any:
    try:
        try:
            form = request.parse_file_upload(request.META, counted)  # type: ignore[arg-type]
        except (MultiPartParserError, SuspiciousOperation):
            form = None
        if counted.is_short():
            raise _broken_off()
    except UnreadablePostError:
        raise _broken_off() from None
    return form


class _Counted:
    """A body that knows whether it was shorter than announced; Django's form parser does not look."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        self.bytes = 0

    def read(self, size: int) -> bytes:
        piece: bytes = self.request.read(size)
        self.bytes += len(piece)
        return piece

    def is_short(self) -> bool:
        while self.read(PIECE):  # the parser stops at the last boundary, or at the first fault
            pass
        return self.bytes < _announced(self.request)


def decode_json(text: str | bytes) -> dict[str, Any]:
    """One JSON object. Raises MalformedBody, and InvalidQuery for a batch of operations."""
    try:
        decoded = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, ValueError):
        raise MalformedBody(ONE_OBJECT) from None
    if not isinstance(decoded, dict):
        raise InvalidQuery("Send one operation, as a JSON object with 'query' and 'variables'.")
    return decoded


def _announced(request: HttpRequest) -> int:
    """The body's length by its header."""
    length = str(request.META.get("CONTENT_LENGTH") or "")
    return int(length) if length.isdecimal() else 0


def _broken_off() -> Unavailable:
    """The client went away before the body's end: the same request may succeed another time."""
    return Unavailable(KEEP, retry_after=RETRY_AFTER)
