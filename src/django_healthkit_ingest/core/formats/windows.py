"""What a client says beside its records: where its next queries start, and what it vouches to have sent completely."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from django_healthkit_ingest.core.formats.records import read_fields
from django_healthkit_ingest.core.json_text import UNREADABLE
from django_healthkit_ingest.core.registry import MAX_IDENTIFIER_LENGTH
from django_healthkit_ingest.core.timestamps import find_zone, read_interval
from django_healthkit_ingest.exceptions import RecordRejected

MAX_ANCHOR_LENGTH = 64 * 2**10
"""Characters; Apple's are a few hundred bytes in base64."""
MAX_TYPES = 500
"""Of the anchors, and of one window: more than HealthKit has."""
MAX_WINDOWS = 100

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

Fault = tuple[str, str]
"""A JSON pointer below the member, and the code of what is wrong there."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A period and types of which the client says that all there is, is in this body."""

    types: list[str]
    start: str
    end: str
    complete: bool = False
    """All of it is here."""
    readable: bool = False
    """The client vouches that it may read these types: HealthKit shows a type it may not read as empty."""


_WINDOW = msgspec.json.Decoder(Window)


def check_anchors(anchors: Mapping[str, str]) -> Iterator[Fault]:
    if len(anchors) > MAX_TYPES:
        yield "", "too_many"
    if not all(_is_type(name) for name in anchors):
        yield "", "invalid_type"
    if any(not 0 < len(anchor) <= MAX_ANCHOR_LENGTH for anchor in anchors.values()):
        yield "", "invalid_anchor"
    if any("\0" in anchor for anchor in anchors.values()):
        yield "", "nul_character"


def read_windows(
    raws: Iterable[msgspec.Raw], *, time_zone: str | None
) -> tuple[tuple[Mapping[str, Any], ...], list[Fault]]:
    """The windows, their instants in UTC, and the faults; a naive date without a zone is the fault ``naive_date``."""
    windows: list[Mapping[str, Any]] = []
    faults: list[Fault] = []
    for index, raw in enumerate(raws):
        if index == MAX_WINDOWS:
            faults.append(("", "too_many"))
            break
        try:
            windows.append(_read(raw, time_zone=time_zone))
        except _Faulty as error:
            faults += [(f"/{index}{pointer}", code) for pointer, code in error.faults]
    return tuple(windows), faults


class _Faulty(Exception):
    """What is wrong with one window, all at once."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__()
        self.faults = faults


def _read(raw: msgspec.Raw, *, time_zone: str | None) -> Mapping[str, Any]:
    window = _decode(raw)
    if not window.types:
        raise _Faulty(("/types", "missing_type"))
    if len(window.types) > MAX_TYPES:
        raise _Faulty(("/types", "too_many"))
    if wrong := [place for place, name in enumerate(window.types) if not _is_type(name)]:
        raise _Faulty(*((f"/types/{place}", "invalid_type") for place in wrong))
    zone = find_zone(time_zone) if time_zone is not None else None
    try:
        interval = read_interval(window.start, window.end, own_zone=None, declared_zone=zone)
    except RecordRejected as error:
        raise _Faulty((f"/{error.field}", error.reason)) from None
    if interval.start == interval.end:
        raise _Faulty(("/end", "empty_window"))
    return {
        "types": window.types,
        "start": _instant(interval.start),
        "end": _instant(interval.end),
        "complete": window.complete,
        "readable": window.readable,
    }


def _decode(raw: msgspec.Raw) -> Window:
    try:
        return _WINDOW.decode(raw)
    except UNREADABLE:
        pass
    try:
        _, faults = read_fields(raw, Window)
    except RecordRejected:
        raise _Faulty(("", "wrong_type")) from None
    missing = {name for name, fault in faults.items() if fault.reason == "missing_field"}
    raise _Faulty(*((f"/{name}", "missing_field" if name in missing else "wrong_type") for name in faults))


def _is_type(name: str) -> bool:
    return 0 < len(name) <= MAX_IDENTIFIER_LENGTH and not _CONTROL.search(name)


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
