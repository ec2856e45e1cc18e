"""What is asked in paths, queries and header fields, and which header fields are answered; for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django_healthkit_ingest.core.registry import MAX_IDENTIFIER_LENGTH
from django_healthkit_ingest.core.states import Lane, Status
from django_healthkit_ingest.pipeline.accept import MAX_KEY
from django_healthkit_ingest.pipeline.pages import MAX_SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    name: str
    schema: Mapping[str, Any]
    text: str
    place: str = "query"
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Of answers with one of these statuses; of every answer where there are none."""

    name: str
    schema: Mapping[str, Any]
    text: str
    statuses: tuple[int, ...] = ()


_TEXT = {"type": "string"}
_UUID = {"type": "string", "format": "uuid"}
_INSTANT = {"type": "string", "format": "date-time"}
_URL = {"type": "string", "format": "uri"}
_SECONDS = {"type": "integer", "minimum": 0}


def _in_path(name: str, text: str, schema: Mapping[str, Any] = _UUID) -> Parameter:
    return Parameter(name=name, schema=schema, text=text, place="path", required=True)


def _page_size(default: int) -> Parameter:
    schema = {"type": "integer", "minimum": 1, "maximum": MAX_SIZE, "default": default}
    return Parameter(name="page_size", schema=schema, text="Rows of a page.")


def page_of(default: int) -> tuple[Parameter, ...]:
    return (
        Parameter(name="cursor", schema=_TEXT, text="From `next` or `previous`; of this list with these filters."),
        _page_size(default),
    )


BATCH = _in_path("batch_id", "The import's `id`.")
SAMPLE = _in_path("sample_id", "The sample's `id`.", _TEXT)
SOURCE = _in_path("source_id", "The source's `id`.")
DEVICE_TOKEN = _in_path("device", "The `id` of the device's token.")
ERASURE = _in_path("erasure_id", "The erasure's `id`.")
EXPORT = _in_path("export_id", "The export's `id`.")
TOKEN = _in_path("token", "`upload` of the offer.", _TEXT)
USER = _in_path("user", "The signed-in user, as the app names them.", _TEXT)
IDENTIFIER = _in_path(
    "identifier",
    "A type's identifier, or any other name of it.",
    {"type": "string", "minLength": 1, "maxLength": MAX_IDENTIFIER_LENGTH},
)

_DEVICE_ID = {"type": "string", "maxLength": 128}
DEVICE = Parameter(
    name="device", schema=_DEVICE_ID, text="The app installation's id; what a device's token is of need not be named."
)
INSTALLATION = replace(DEVICE, text="The app installation's id; required unless a device's token says it.")

SENDING = (
    Parameter(
        name="Idempotency-Key",
        schema={"type": "string", "minLength": 1, "maxLength": MAX_KEY},
        text="Makes a repeat safe: the same key and body get the same import again.",
        place="header",
    ),
    Parameter(
        name="Content-Encoding",
        schema={"type": "string", "enum": ["gzip", "identity"]},
        text="Of the body. JSON may be sent compressed.",
        place="header",
    ),
    Parameter(
        name="time_zone", schema=_TEXT, text="Stands for the envelope's `time_zone`: an IANA name, for naive dates."
    ),
    replace(DEVICE, text="Stands for the envelope's `device.id`: the app installation."),
    Parameter(
        name="lane", schema={"type": "string", "enum": [*Lane]}, text="Stands for the envelope's `lane`: how it queues."
    ),
)

FOUND_BY = (
    Parameter(name="status", schema={"type": "string", "enum": [*Status]}, text="Only those."),
    Parameter(
        name="idempotency_key", schema=_TEXT, text="The one of this key: whether a request whose answer was lost came."
    ),
    Parameter(
        name="body_sha256",
        schema={"type": "string", "pattern": "^[0-9a-fA-F]{64}$"},
        text="Those of this body: SHA-256 of its bytes, decompressed.",
    ),
)

WAIT = Parameter(
    name="wait",
    schema={"type": "integer", "minimum": 0, "maximum": 999_999_999},
    text="Seconds the answer may be held back until the import is finished; the server has its own limit.",
)

_TYPE = Parameter(name="type", schema={"type": "string", "minLength": 1}, text="Identifier or alias.", required=True)
_START = Parameter(name="start", schema=_INSTANT, text="Only what starts then or later. With a UTC offset.")
READING = (
    _TYPE,
    _START,
    replace(_START, name="end", text="Only what starts before. With a UTC offset."),
    Parameter(name="source", schema=_UUID, text="Only what this source recorded."),
    replace(
        _START, name="updated_since", text="Only of imports that finished since, or have not yet. With a UTC offset."
    ),
    *page_of(500),
)
AGGREGATION = Parameter(name="aggregation", schema=_TEXT, text="Only this one.")

RETRY_AFTER = Header(
    name="Retry-After", schema=_SECONDS, text="Seconds until asking again is worth it.", statuses=(429, 503)
)
UNFINISHED = replace(RETRY_AFTER, statuses=(200,))
LOCATION = Header(name="Location", schema=_URL, text="Where it can be asked for.", statuses=(202,))
REPLAYED = Header(
    name="Idempotency-Replayed",
    schema={"type": "string", "const": "true"},
    text="The import was there before.",
    statuses=(202,),
)
EVERYWHERE = (
    RETRY_AFTER,
    Header(name="WWW-Authenticate", schema=_TEXT, text="How to sign in.", statuses=(401,)),
    Header(name="RateLimit", schema=_TEXT, text="What is left of each limit, and seconds until there is something."),
    Header(name="RateLimit-Policy", schema=_TEXT, text="The limits, their units, and the seconds of their windows."),
)
