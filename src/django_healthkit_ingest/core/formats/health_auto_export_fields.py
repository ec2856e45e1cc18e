"""Members that several of Health Auto Export's records have. Faults are named as the member is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import msgspec

from django_healthkit_ingest.core.formats.records import NULL, read_members
from django_healthkit_ingest.core.json_text import UNREADABLE
from django_healthkit_ingest.core.normalise import MAX_TEXT_LENGTH, check_source
from django_healthkit_ingest.core.rejections import rejection
from django_healthkit_ingest.core.samples import Source
from django_healthkit_ingest.exceptions import RecordRejected

Members = Mapping[str, msgspec.Raw]

_NUMBER: msgspec.json.Decoder[float | None] = msgspec.json.Decoder(float | None)
_TEXT = msgspec.json.Decoder(str | None)
_JOINT = "|"
"""Between the names of sources whose samples became one point."""


def read_number(members: Members, name: str) -> float | None:
    raw = members.get(name, NULL)
    try:
        return _NUMBER.decode(raw)
    except UNREADABLE:
        reason = "number_out_of_range" if bytes(raw)[:1] in b"-0123456789" else "wrong_type"
    raise rejection(reason, field=name)


def read_text(members: Members, name: str) -> str:
    """Empty if the member is not there or null."""
    raw = members.get(name, NULL)
    try:
        return _TEXT.decode(raw) or ""
    except UNREADABLE:
        reason = "invalid_text" if bytes(raw)[:1] == b'"' else "wrong_type"
    raise rejection(reason, field=name)


def first_text(members: Members, names: Iterable[str]) -> tuple[str, str]:
    """The first of those members that says something, and what it says; otherwise two empty strings."""
    return next(((name, text) for name in names if (text := read_text(members, name))), ("", ""))


def read_source(members: Members, name: str = "source") -> Source | None:
    """From the source's name, or an object that has it, as heart rate notifications do."""
    raw = members.get(name, NULL)
    try:
        if bytes(raw)[:1] != b"{":
            return _named(read_text(members, name))
        inner = read_members(raw, field=name)
        _, bundle_id = first_text(inner, ("bundleIdentifier", "identifier"))
        return check_source(Source(name=read_text(inner, "name"), bundle_id=bundle_id))
    except RecordRejected as error:
        raise rejection(error.reason, field=name) from None


@lru_cache(maxsize=1024)
def _named(name: str) -> Source | None:
    return check_source(Source(name=_joined(name) if _JOINT in name else name))


def _joined(name: str) -> str:
    """The same for every order of the names, which may change from one sync to the next, and not too long."""
    kept = ""
    for part in sorted({part.strip() for part in name.split(_JOINT)} - {""}):
        longer = f"{kept}{_JOINT}{part}" if kept else part
        if len(longer) <= MAX_TEXT_LENGTH:
            kept = longer
    return kept
