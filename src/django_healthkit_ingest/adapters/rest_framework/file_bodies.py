"""Files in requests: the part of a form, or the token of a file that has arrived."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from django.core.files.uploadedfile import UploadedFile
from rest_framework.request import Request

from django_healthkit_ingest.core.encodings import decode_body
from django_healthkit_ingest.exceptions import InvalidBody, InvalidEnvelope
from django_healthkit_ingest.request_bodies import FORM, read_form

ORDER_BYTES = 64 * 1024
"""More than a request that names an upload ever has."""

OPTIONS = ("format", "time_zone", "device", "lane", "idempotency_key")


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


def read_file(request: Request) -> tuple[UploadedFile[bytes], Mapping[str, str]]:
    """The part ``file`` and the other fields. Raises BrokenOff, BodyTooLarge, InvalidEnvelope."""
    whole = request._request
    if hasattr(whole, "_files"):  # a middleware of the host's has read the body
        fields, files = whole.POST, whole.FILES
    else:
        fields, files = read_form(whole)
    every = [file for _, group in files.lists() for file in group]
    if [*files] != ["file"] or len(every) != 1:
        for file in every:
            file.close()
        raise InvalidEnvelope("Send one file, as the form's part 'file'.")
    return every[0], {name: str(fields[name]) for name in OPTIONS if name in fields}


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
