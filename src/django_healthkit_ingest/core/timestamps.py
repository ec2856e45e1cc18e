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
_HOUR = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ](?!24)[0-9]{2}"
_OFFSET_FROM_UTC = r"[+-][0-9]{2}(?::?[0-9]{2})?"
# Apple's own descriptions of dates have a blank before the offset.
_INSTANT = re.compile(rf"{_HOUR}:[0-9]{{2}}(?::[0-9]{{2}}(?:[.,][0-9]{{1,9}})?)?(?: ?({_OFFSET_FROM_UTC})|([Zz]))?")
_HOUR_WITH_OFFSET = re.compile(rf"({_HOUR}) ?({_OFFSET_FROM_UTC})")
_ZONE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+\-]{0,31}(?:/[A-Za-z0-9_+\-]{1,32}){0,2}")
_NOT_CIVIL = ("localtime", "posixrules", "Factory", "posix/", "right/")
"""Found in zoneinfo directories, but the host's own zone, placeholders, or zones that count leap seconds."""
_OFFSET = ZoneBasis.OFFSET
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ONE_HOUR = timedelta(hours=1)
_PAST_THE_HOUR = {
    f":{second // 60:02}:{second % 60:02}": (timedelta(seconds=second), second * 1_000_000) for second in range(3600)
}
_PLAIN_LENGTH = len("2026-01-05T08:00:00+01:00")
"""With a blank and without a colon it is as long."""
_NO_OFFSET_KNOWN = frozenset({"Z", "z", "-00:00", "-0000", "-00"})
"""RFC 3339 section 4.3: UTC is known, the local offset is not."""


class Interval(msgspec.Struct, frozen=True, gc=False):
    start: datetime
    start_us: int
    """The same in microseconds of Unix time."""
    end: datetime
    end_us: int
    time_zone: str
    """An IANA name, an offset such as ``+01:00``, or empty."""
    zone_basis: ZoneBasis


def microseconds(instant: datetime) -> int:
    """Unix time, exactly."""
    return (instant - _EPOCH) // _MICROSECOND


def find_zone(name: str) -> ZoneInfo | None:
    """The IANA zone of that name, None if there is none."""
    return _find_zone(name) if len(name) <= 64 else None


def is_naive(text: str) -> bool:
    """Whether this is a date and time without UTC offset; False for what is no date at all."""
    if text.endswith("Z") or text[-6:-5] in ("+", "-"):  # nearly always, and cheaper than the pattern
        return False
    match = _INSTANT.fullmatch(text)
    return match is not None and match.lastindex is None


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
    start_utc, start_us, offset = end_utc, end_us, _ = _read(start, reading_zone, field="start")
    if end is not None and end != start:
        end_utc, end_us, end_offset = _read(end, reading_zone, field="end")
        if end_us < start_us and end_offset is None:
            end_utc, end_us, _ = _read(end, reading_zone, field="end", fold=1)
        if end_us < start_us:
            raise rejection("end_before_start", field="end")
    time_zone, basis = "", ZoneBasis.NONE
    if own_zone is not None:
        time_zone, basis = own_zone.key, ZoneBasis.METADATA
    elif offset is None and declared_zone is not None:
        time_zone, basis = declared_zone.key, ZoneBasis.DECLARED
    elif offset is not None and offset not in _NO_OFFSET_KNOWN:
        time_zone, basis = offset, _OFFSET
    return Interval(start_utc, start_us, end_utc, end_us, time_zone, basis)


def _read(
    value: str | datetime, zone: ZoneInfo | None, *, field: str, fold: int = 0
) -> tuple[datetime, int, str | None]:
    """The instant in UTC, in microseconds of Unix time, and the offset as ``+01:00`` or as one of _NO_OFFSET_KNOWN
    (None: the time is naive and was read in ``zone``)."""
    if isinstance(value, datetime):
        instant, offset = _to_utc(value, zone, field=field, fold=fold), _offset_text(value)
        return instant, microseconds(instant), offset
    # As nearly all phones write it, 2026-01-05T08:00:00+01:00, and Apple's export, 2026-01-05 08:00:00 +0100: such an
    # hour is read once.
    if len(value) == _PLAIN_LENGTH and (past := _PAST_THE_HOUR.get(value[13:19])) is not None:
        hour = _read_hour(value[:13] + value[19:])
        if hour is not None:
            return hour[0] + past[0], hour[1] + past[1], hour[2]
    match = _INSTANT.fullmatch(value)
    if match is None:
        raise rejection("invalid_date", field=field)
    offset = match[1] or match[2]
    text = value if offset is None else value[: match.start(match.lastindex or 0)].rstrip() + offset.upper()
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise rejection("invalid_date", field=field) from error
    instant = _to_utc(time, zone, field=field, fold=fold)
    if offset is not None and offset not in _NO_OFFSET_KNOWN:
        offset = _spelled(offset)
    return instant, microseconds(instant), offset


@lru_cache(maxsize=4096)
def _read_hour(text: str) -> tuple[datetime, int, str] | None:
    """The beginning of an hour that is written ``2026-01-05T08+01:00``: the instant, in microseconds of Unix time, and
    the offset. None if it has to be read with minutes and seconds."""
    match = _HOUR_WITH_OFFSET.fullmatch(text)
    if match is None or match[2] in _NO_OFFSET_KNOWN:
        return None
    offset = _spelled(match[2])
    try:
        instant = datetime.fromisoformat(f"{match[1]}:00{offset}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    if not EARLIEST <= instant < LATEST - _ONE_HOUR:
        return None
    return instant, microseconds(instant), offset


def _spelled(offset: str) -> str:
    return f"{offset[:3]}:{offset[3:].lstrip(':') or '00'}"


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
