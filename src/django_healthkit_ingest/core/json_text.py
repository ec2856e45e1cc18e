"""JSON that is kept as text and not read: metadata, and whole records of types without columns.

The text must suit PostgreSQL's jsonb, SQLite and Python's json alike, which refuse more than the JSON grammar does.
"""

from __future__ import annotations

import json
import re
from hashlib import blake2b
from typing import Any

import msgspec

from django_healthkit_ingest.core.rejections import rejection
from django_healthkit_ingest.exceptions import RecordRejected

MAX_DEPTH = 100
"""Far below the recursion limits of all readers; HealthKit's own structures need 5."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes it cannot decode; the last for deep nesting."""

_SURROGATE = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?P<low>\\u[dD][c-fC-F][0-9a-fA-F]{2})?|[c-fC-F][0-9a-fA-F]{2})"
)
_REPLACEMENT = rb"\ufffd"
# Counts backslashes, for \\u0000 is a backslash and five characters; possessively, so that no run of them is slow.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*+\\u0000")
_LONG_NUMBER = re.compile(rb"[0-9][eE][+-]?[0-9]{3}|[0-9]{64}")
"""jsonb refuses more than 16,383 decimals, which 1e-20000 has; Python refuses more than 4,300 digits."""


class JsonObject(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    text: str
    digest: str
    """The same for every order of keys: Swift writes dictionaries in random order."""
    members: dict[str, Any]


def read_object(raw: bytes | msgspec.Raw, *, field: str, max_bytes: int) -> JsonObject:
    """Raises RecordRejected with ``field``: too_long, too_deep, wrong_type, invalid_text, nul_character,
    number_out_of_range."""
    raw = bytes(raw)
    if len(raw) > max_bytes:
        raise rejection("too_long", field=field)
    try:
        members = msgspec.json.decode(raw)
    except UNREADABLE as error:
        raise _fault(error, field=field) from None
    if not isinstance(members, dict):
        raise rejection("wrong_type", field=field)
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _is_deep(members):
        raise rejection("too_deep", field=field)
    if _NUL.search(raw):
        raise rejection("nul_character", field=field)
    canonical = write(members)
    text = canonical if _LONG_NUMBER.search(raw) else raw
    return JsonObject(text=text.decode(), digest=blake2b(canonical, digest_size=16).hexdigest(), members=members)


def write(members: dict[str, Any]) -> bytes:
    """With sorted keys."""
    try:
        return msgspec.json.encode(members, order="sorted")
    except OverflowError:  # whole numbers beyond 64 bits, which msgspec reads but does not write
        return json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def replace_lone_surrogates(text: bytes) -> bytes:
    """With U+FFFD for each half of a character, which some languages cut strings into and no database can hold.

    msgspec refuses a whole body for one of them, so half an emoji in one name would sink all its neighbours.
    """
    parts: list[bytes | memoryview] = []
    place = 0
    for found in _SURROGATE.finditer(text):
        if _is_escaped(text, start=place, end=found.start()):
            # A backslash and five characters, and what may follow them is half a character.
            kept = found[0][:6] + (_REPLACEMENT if found["low"] else b"")
        else:
            kept = found[0] if found["low"] else _REPLACEMENT
        parts += (memoryview(text)[place : found.start()], kept)
        place = found.end()
    return b"".join((*parts, memoryview(text)[place:])) if parts else text


def _is_escaped(text: bytes, *, start: int, end: int) -> bool:
    """Whether an odd number of backslashes is before ``end``; looked at in pieces, for there may be very many."""
    count = 0
    while piece := text[max(start, end - 4096) : end]:
        run = len(piece) - len(piece.rstrip(b"\\"))
        count += run
        if run < len(piece):
            break
        end -= run
    return bool(count % 2)


def _fault(error: Exception, *, field: str) -> RecordRejected:
    """An error of untyped decoding, without its text, which may quote the input."""
    if isinstance(error, RecursionError):
        return rejection("too_deep", field=field)
    if isinstance(error, msgspec.ValidationError):  # no type was asked for, so only a number can be wrong
        return rejection("number_out_of_range", field=field)
    return rejection("invalid_text", field=field)


def _is_deep(value: object) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[object] = []
        for each in level:
            children = each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
            inner.extend(child for child in children if isinstance(child, dict | list))
        if not inner:
            return False
        level = inner
    return True
