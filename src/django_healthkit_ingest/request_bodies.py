"""What a request brings, as both doors read it: bounded, and known to be whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParserError

from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.exceptions import BodyTooLarge, InvalidEnvelope, Unavailable
from django_healthkit_ingest.pipeline.files import check_size
from django_healthkit_ingest.pipeline.problems import KEEP, RETRY_AFTER

FORM = "multipart/form-data"
PIECE = 64 * 1024

LENGTH_REQUIRED = "This server needs to know the file's size: send a Content-Length."


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


def announced(request: HttpRequest) -> int | None:
    """The body's length by its header."""
    length = str(request.META.get("CONTENT_LENGTH") or "")
    return int(length) if length.isdecimal() else None


def read_at_most(request: HttpRequest, size: int) -> bytes:
    """The raw body, or its first ``size`` bytes. Raises BrokenOff.

    Reads the stream, not ``request.body``: Django's own limit (``DATA_UPLOAD_MAX_MEMORY_SIZE``) would answer 400 to a
    body that is merely large.
    """
    source, length = _source(request)
    pieces: list[bytes] = []
    room = size
    for piece in _pieces(source, length=min(size, length or 0)):
        pieces.append(piece[:room])
        room -= len(piece)
        if room <= 0:
            break
    return b"".join(pieces)


def read_pieces(request: HttpRequest) -> Iterator[bytes]:
    """The raw body, piece by piece, with or without ``Content-Length``. Raises BrokenOff."""
    source, length = _source(request)
    if length is None and source is request and "wsgi.input" in request.META:
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


def read_form(request: HttpRequest) -> tuple[Any, Any]:
    """The form's fields and files, as Django has them. Raises BrokenOff, BodyTooLarge, InvalidEnvelope."""
    if announced(request) is None and "HTTP_TRANSFER_ENCODING" in request.META:
        raise InvalidEnvelope(LENGTH_REQUIRED)  # Django would read nothing
    handler = BoundedUploadHandler(request)
    request.upload_handlers = [handler]
    try:
        return _parse_form(request)
    except Exception:
        handler.upload_interrupted()  # Django tells it of some of these only
        raise


def _parse_form(request: HttpRequest) -> tuple[Any, Any]:
    body = _Counted(request)
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
