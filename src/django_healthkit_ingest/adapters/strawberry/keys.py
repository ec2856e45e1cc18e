"""Keys that a request has twice: a JSON reader takes the last one, and what the first one held is lost behind a 202."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from django_healthkit_ingest.core.formats.faults import envelope_fault, invalid_envelope
from django_healthkit_ingest.core.formats.repeats import find_repeats

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_REQUEST = ("query", "variables", "operationName", "extensions")
_INPUT = ("body", "format", "timeZone", "device", "client", "idempotencyKey", "lane")
_BODY = ("samples", "deletions", "statistics", "anchors", "windows", "device", "client", "data")


def check_keys(text: bytes) -> None:
    """The request, its variables, each object among them, and a body inside; in records the last key counts, as for the
    other door. ``text`` is a JSON object. Raises InvalidEnvelope.
    """
    request = _MEMBERS.decode(text)
    pointers = find_repeats(text, known=_REQUEST, inside=("variables",))
    for variable in _objects_in(request.get("variables")):
        pointers += find_repeats(variable, known=_INPUT, at="/variables", inside=("device", "client"))
        body = _members(variable).get("body")
        if body is not None:
            pointers += find_repeats(body, known=_BODY, at="/variables/body", inside=("device", "client", "anchors"))
    if pointers:
        raise invalid_envelope([envelope_fault(pointer, "duplicate_key") for pointer in pointers])


def _objects_in(raw: msgspec.Raw | None) -> Iterator[msgspec.Raw]:
    if raw is not None:
        yield from (member for member in _members(raw).values() if bytes(memoryview(member)[:1]) == b"{")


def _members(raw: msgspec.Raw) -> Mapping[str, msgspec.Raw]:
    """None of what is no object."""
    try:
        return _MEMBERS.decode(raw)
    except msgspec.ValidationError:
        return {}
