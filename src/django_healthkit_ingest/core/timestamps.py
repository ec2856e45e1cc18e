"""Instants and civil time zones of records."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from django_healthkit_ingest.core.rejections import rejection
from django_healthkit_ingest.core.samples import ZoneBasis

EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
"""Exclusive."""

# Hour 24 is the next day's 0 to Python 3.14 and an error to older ones, so it is refused here.
_LOCAL = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ](?!24)[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?"
_INSTANT = re.compile(rf"{_LOCAL}([Zz]|[+-][0-9]{{2}}(?::?[0-9]{{2}})?)?")
_ZONE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+\-]{0,31}(?:/[A-Za-z0-9_+\-]{1,32}){0,2}")
_NOT_CIVIL = ("localtime", "posixrules", "Factory", "posix/", "right/")
"""Found in zoneinfo directories, but the host's own zone, placeholders, or zones that count leap seconds."""
_OFFSET = ZoneBasis.OFFSET
_NO_OFFSET_KNOWN = frozenset({"Z", "z", "-00:00", "-0000", "-00"})
"""RFC 3339 section 4.3: UTC is known, the local offset is not."""


class Interval(msgspec.Struct, frozen=True, gc=False):
    start: datetime
    end: datetime
    time_zone: str
    """An IANA name, an offset such as ``+01:00``, or empty."""
    zone_basis: ZoneBasis


def find_zone(name: str) -> ZoneInfo | None:
    """The IANA zone of that name, None if there is none."""
    return _find_zone(name) if len(name) <= 64 else None


def is_naive(text: str) -> bool:
    """Whether this is a date and time without UTC offset; False for what is no date at all."""
    if text.endswith("Z") or text[-6:-5] in ("+", "-"):  # nearly always, and cheaper than the pattern
        return False
    match = _INSTANT.fullmatch(text)
    return match is not None and match[1] is None


def read_interval(
    start: str | datetime,
    end: str | datetime | None,
    *,
    own_zone: ZoneInfo | None,
    declared_zone: ZoneInfo | None,
) -> Interval:
    """UTC instants and the civil zone, from ISO 8601 texts with or without UTC offset; a missing end is the start.

    An offset decides the instant; only a naive time is read in a zone: the record's own, else the declared one. The
    hour that comes twice when clocks go back is read as its first occurrence, unless the interval would then end
    before it starts: the end is then its second. A time that clocks going forward skip is moved forward by the gap.

    Raises RecordRejected with field ``start`` or ``end``: invalid_date, naive_date, implausible_date,
    end_before_start.
    """
    reading_zone = own_zone or declared_zone
    start_utc, offset = _read(start, reading_zone, field="start")
    end_utc = start_utc
    if end is not None and end != start:
        end_utc, end_offset = _read(end, reading_zone, field="end")
        if end_utc < start_utc and end_offset is None:
            end_utc, _ = _read(end, reading_zone, field="end", fold=1)
        if end_utc < start_utc:
            raise rejection("end_before_start", field="end")
    if own_zone is not None:
        return Interval(start_utc, end_utc, own_zone.key, ZoneBasis.METADATA)
    if offset is None and declared_zone is not None:
        return Interval(start_utc, end_utc, declared_zone.key, ZoneBasis.DECLARED)
    if offset is None or offset in _NO_OFFSET_KNOWN:
        return Interval(start_utc, end_utc, "", ZoneBasis.NONE)
    if len(offset) != 6:
        offset = f"{offset[:3]}:{offset[3:].lstrip(':') or '00'}"
    return Interval(start_utc, end_utc, offset, _OFFSET)


def _read(value: str | datetime, zone: ZoneInfo | None, *, field: str, fold: int = 0) -> tuple[datetime, str | None]:
    """The instant in UTC, and the offset as it was written (None: the time is naive and was read in ``zone``)."""
    if isinstance(value, datetime):
        return _to_utc(value, zone, field=field, fold=fold), _offset_text(value)
    # How nearly all phones write it, 2026-01-05T08:00:00+01:00, told in half the time the pattern takes.
    if (
        len(value) == 25
        and value[10] == "T"
        and value[4] == value[7] == "-"
        and value[13] == value[-3] == ":"
        and value[-6] in "+-"
        and value[11:13] != "24"
    ):
        offset: str | None = value[-6:]
    elif match := _INSTANT.fullmatch(value):
        offset = match[1]
    else:
        raise rejection("invalid_date", field=field)
    try:
        time = datetime.fromisoformat(value.upper() if offset == "z" else value)
    except ValueError as error:
        raise rejection("invalid_date", field=field) from error
    return _to_utc(time, zone, field=field, fold=fold), offset


def _offset_text(value: datetime) -> str | None:
    offset = value.utcoffset()
    if offset is None:
        return None
    minutes = int(offset / timedelta(minutes=1))
    if not minutes:
        return "Z"
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def _to_utc(value: datetime, zone: ZoneInfo | None, *, field: str, fold: int) -> datetime:
    if value.tzinfo is None:
        if zone is None:
            raise rejection("naive_date", field=field)
        value = value.replace(tzinfo=zone, fold=fold or value.fold)
    try:
        instant = value.astimezone(UTC)
    except OverflowError:  # at the ends of the calendar
        raise rejection("implausible_date", field=field) from None
    if not EARLIEST <= instant < LATEST:
        raise rejection("implausible_date", field=field)
    return instant


@lru_cache(maxsize=1024)
def _find_zone(name: str) -> ZoneInfo | None:
    if not _ZONE_NAME.fullmatch(name) or name.startswith(_NOT_CIVIL):
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder of zones, such as Europe, is an OSError
        return None
