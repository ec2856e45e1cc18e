"""What an import brings: a body as JSON, a file of the request, or the token of an upload that has arrived."""

from __future__ import annotations

from typing import Any

import msgspec
import strawberry
from django.core.files import File
from strawberry.file_uploads import Upload
from strawberry.scalars import JSON

from django_healthkit_ingest.adapters.strawberry.door import Visitor
from django_healthkit_ingest.adapters.strawberry.enums import HealthKitLane
from django_healthkit_ingest.conf import get_format, get_settings
from django_healthkit_ingest.core.formats.base import FileFormat
from django_healthkit_ingest.exceptions import BodyTooLarge, InvalidEnvelope, MalformedBody
from django_healthkit_ingest.pipeline.accept import agree
from django_healthkit_ingest.pipeline.intake import Taken, take_body, take_file

GZIP = b"\x1f\x8b"
HEAD = 64
"""Bytes of a file that are looked at to tell a body from a file format."""

SOURCES = ("body", "file", "upload")


@strawberry.input(description="The app installation that sends; what else there is to know of it stands in the body.")
class HealthKitDeviceInput:
    id: strawberry.ID


@strawberry.input(description="The sending app.")
class HealthKitClientInput:
    name: str | None = strawberry.UNSET
    version: str | None = strawberry.UNSET


@strawberry.input(description="Exactly one of `body`, `file` and `upload`; what else is null is the body's to say.")
class HealthKitImportInput:
    body: JSON | None = strawberry.field(
        default=strawberry.UNSET, description="The request of a format, as an object or array, by a variable."
    )
    file: Upload | None = strawberry.field(
        default=strawberry.UNSET, description="The same as a file, gzip or not; or a file of a format that reads files."
    )
    upload: str | None = strawberry.field(
        default=strawberry.UNSET, description="Of `healthkitOfferUpload`, after the file was sent."
    )
    format: str | None = strawberry.UNSET
    time_zone: str | None = strawberry.field(default=strawberry.UNSET, description="An IANA name.")
    device: HealthKitDeviceInput | None = strawberry.UNSET
    client: HealthKitClientInput | None = strawberry.UNSET
    idempotency_key: str | None = strawberry.field(
        default=strawberry.UNSET, description="1 to 255 characters: a repeat answers the import it made."
    )
    lane: HealthKitLane | None = strawberry.UNSET


def take(given: HealthKitImportInput, *, visitor: Visitor) -> Taken:
    """Raises what ``take_body`` and ``take_file`` raise, and InvalidEnvelope for none or several of them."""
    chosen = [name for name in SOURCES if _value(given, name) is not None]
    if len(chosen) != 1:
        raise InvalidEnvelope("Send exactly one of 'body', 'file' and 'upload'.")
    options = _options(given, visitor=visitor)
    if chosen == ["body"]:
        return take_body(_encoded(given.body), user=visitor.user, **options)
    if chosen == ["upload"]:
        return take_file(str(given.upload), user=visitor.user, **options)
    file: Any = given.file
    if not isinstance(file, File):
        raise InvalidEnvelope("'file' is a part of a multipart request; send a body by 'body'.")
    if _is_file_format(file, name=options["format"]):
        return take_file(file, user=visitor.user, **options)
    body, encoding = _read(file)
    return take_body(body, user=visitor.user, content_encoding=encoding, **options)


def _options(given: HealthKitImportInput, *, visitor: Visitor) -> dict[str, Any]:
    client, device, lane = (_value(given, name) for name in ("client", "device", "lane"))
    told = {name: _value(client, name) for name in ("name", "version")} if client is not None else {}
    texts = {name: _value(given, name) for name in ("format", "time_zone", "idempotency_key", "upload")}
    if any("\0" in text for text in (*texts.values(), *told.values()) if text is not None):
        raise InvalidEnvelope("Remove the character U+0000 from 'input'.")
    return {
        "format": texts["format"],
        "time_zone": texts["time_zone"],
        "device": agree("device", visitor.device_id, device.id if device is not None else None),
        "client": {name: text for name, text in told.items() if text is not None} or None,
        "idempotency_key": texts["idempotency_key"],
        "lane": lane.value if lane is not None else None,
    }


def _value(given: Any, name: str) -> Any:
    value = getattr(given, name)
    return None if value is strawberry.UNSET else value


def _encoded(body: object) -> bytes:
    """The bytes a phone would have sent to the other door; the same value makes the same bytes.

    Raises MalformedBody for what JSON cannot say.
    """
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, RecursionError):
        raise MalformedBody("Send one well-formed JSON object or array, not nested too deeply.") from None


def _is_file_format(file: File[bytes], *, name: str | None) -> bool:
    """By the format's name; without one, by whether it begins as a JSON document or a gzip body does."""
    if name is not None:
        return isinstance(get_format(name), FileFormat)
    head = file.read(HEAD)
    file.seek(0)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return not (head.startswith(GZIP) or text.startswith((b"{", b"[")))


def _read(file: File[bytes]) -> tuple[bytes, str | None]:
    """Never more than a body may have, and how it is encoded."""
    limit = get_settings().max_body_bytes
    body = file.read(limit + 1) if file.size <= limit else b""
    if not 0 <= file.size <= limit or len(body) > limit:
        raise BodyTooLarge("Send fewer records in one request.")
    return body, "gzip" if body.startswith(GZIP) else None
