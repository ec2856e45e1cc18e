"""Files in requests: the part of a form, the body of a PUT, the token of a file that has arrived."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from django.core.exceptions import SuspiciousOperation
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParserError
from rest_framework.request import Request

from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.core.encodings import decode_body
from django_healthkit_ingest.exceptions import BodyTooLarge, InvalidBody, InvalidEnvelope, Unavailable
from django_healthkit_ingest.pipeline.files import check_size
from django_healthkit_ingest.pipeline.problems import KEEP, RETRY_AFTER

FORM = "multipart/form-data"
PIECE = 64 * 1024
ORDER_BYTES = 64 * 1024
"""More than a request that names an upload ever has."""

LENGTH_REQUIRED = "This server needs to know the file's size: send a Content-Length."

OPTIONS = ("format", "time_zone", "device", "lane", "idempotency_key")


class BrokenOff(Unavailable):
    """The client went away before the body's end: the same request may succeed another time."""

    def __init__(self, detail: str = KEEP, *, retry_after: int = RETRY_AFTER) -> None:
        super().__init__(detail, retry_after=retry_after)


class BoundedUploadHandler(TemporaryFileUploadHandler):
    """A file part on its way to the disk, refused as soon as it is too large."""

    received = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        self.received += len(raw_data)
        check_size(self.received)
        return super().receive_data_chunk(raw_data, start)


class _Named(msgspec.Struct, frozen=True):
    upload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """``POST imports/`` for a file that has arrived."""

    upload: str
    format: str | None = None
    time_zone: str | None = None
    device: dict[str, Any] | None = None
    client: dict[str, str] | None = None
    lane: str | None = None


def is_form(request: Request) -> bool:
    return bool(request.content_type.partition(";")[0].strip().lower() == FORM)


def read_form(request: Request) -> tuple[UploadedFile[bytes], Mapping[str, str]]:
    """The part ``file`` and the other fields. Raises BrokenOff, BodyTooLarge, InvalidEnvelope."""
    handler = BoundedUploadHandler(request._request)
    try:
        fields, files = _parse_form(request._request, handler)
    except Exception:
        handler.upload_interrupted()  # Django tells it of some of these only
        raise
    every = [file for _, group in files.lists() for file in group]
    if [*files] != ["file"] or len(every) != 1:
        for file in every:
            file.close()
        raise InvalidEnvelope("Send one file, as the form's part 'file'.")
    return every[0], {name: str(fields[name]) for name in OPTIONS if name in fields}


def _parse_form(request: HttpRequest, handler: BoundedUploadHandler) -> tuple[Any, Any]:
    if announced(request) is None and "HTTP_TRANSFER_ENCODING" in request.META:
        raise InvalidEnvelope(LENGTH_REQUIRED)  # Django would read nothing
    if hasattr(request, "_files"):  # a middleware of the host's has read the body
        return request.POST, request.FILES
    body = _Counted(request)
    request.upload_handlers = [handler]
    try:
        try:
            form = request.parse_file_upload(request.META, body)  # type: ignore[arg-type]
        except (MultiPartParserError, SuspiciousOperation):
            form = None
        if body.is_short():
            raise BrokenOff
    except OSError as error:  # of the connection, or of the disk that the file goes to
        raise BrokenOff from error
    if form is None:
        raise InvalidEnvelope("The form cannot be read; send multipart/form-data.")
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
        return self.bytes < (announced(self.request) or 0)


def announced(request: HttpRequest) -> int | None:
    """The body's length by its header."""
    length = str(request.META.get("CONTENT_LENGTH") or "")
    return int(length) if length.isdecimal() else None


def read_at_most(request: Request, size: int) -> bytes:
    """The raw body, or its first ``size`` bytes. Raises BrokenOff.

    Reads the stream, not ``request.body``: Django's own limit (``DATA_UPLOAD_MAX_MEMORY_SIZE``) would answer 400 to a
    body that is merely large.
    """
    source, length = _source(request._request)
    pieces: list[bytes] = []
    room = size
    for piece in _pieces(source, length=min(size, length or 0)):
        pieces.append(piece[:room])
        room -= len(piece)
        if room <= 0:
            break
    return b"".join(pieces)


def read_pieces(request: Request) -> Iterator[bytes]:
    """The raw body, piece by piece, with or without ``Content-Length``. Raises BrokenOff."""
    source, length = _source(request._request)
    if length is None and source is request._request and "wsgi.input" in request.META:
        raise InvalidEnvelope(LENGTH_REQUIRED)
    if length is not None and length > get_settings().max_upload_bytes:
        raise BodyTooLarge("The file is larger than this server takes; ask its operator, or send a shorter period.")
    yield from _pieces(source, length=length or 0)


def _source(request: HttpRequest) -> tuple[Any, int | None]:
    """Where the body is read from, and its length if that was announced.

    Django takes a WSGI body without a length for an empty one; the server says whether it ends such a body itself.
    """
    length = announced(request)
    if length is None and request.META.get("wsgi.input_terminated"):
        return request.META["wsgi.input"], None
    return request, length


def _pieces(source: Any, *, length: int) -> Iterator[bytes]:
    """Raises BrokenOff if there are not ``length`` bytes, or if they come in a way that the server cannot read."""
    received = 0
    while piece := _next_piece(source):
        received += len(piece)
        yield piece
    if received < length:
        raise BrokenOff


def _next_piece(source: Any) -> bytes:
    try:
        piece: bytes = source.read(PIECE)
    except Exception as error:  # servers have errors of their own for a broken chunk
        raise BrokenOff from error
    return piece


def read_order(body: bytes, *, content_encoding: str | None) -> Order | None:
    """None for every body that does not name an upload. Raises InvalidEnvelope for one that does so wrongly."""
    if len(body) > ORDER_BYTES:
        return None
    try:
        decoded = decode_body(body, content_encoding=content_encoding, max_bytes=ORDER_BYTES)
        if msgspec.json.decode(decoded, type=_Named).upload is msgspec.UNSET:
            return None
    except (InvalidBody, msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None  # accept() says what is wrong with it
    try:
        return msgspec.json.decode(decoded, type=Order)
    except msgspec.ValidationError:
        raise InvalidEnvelope("'upload' must be an upload's token, beside it the envelope's keys.") from None
