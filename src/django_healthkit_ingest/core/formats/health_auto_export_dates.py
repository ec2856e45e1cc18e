"""Dates as Health Auto Export writes them: by the phone's clock setting, with 24 hours or with AM and PM."""

from __future__ import annotations

import re

# Since iOS 17 the space before AM and PM is U+202F; a no-break space has been seen in other texts of the phone.
_DATE = re.compile(
    r"""(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})
        (?:[T \u00a0\u202f](?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2}(?:[.,][0-9]{1,9})?))?
           (?:[ \u00a0\u202f]?(?P<half>[AaPp])\.?[Mm]\.?)?)?
        [ \u00a0\u202f]?(?P<offset>Z|[+-][0-9]{2}:?[0-9]{2})?""",
    re.VERBOSE,
)
_MIDNIGHT = "T00:00:00"
_DAY_LENGTH = len("2026-01-05")


def read_date(text: str) -> str:
    """ISO 8601, with the offset if there is one; a mere day begins at midnight. What is no such date stays as it is."""
    match = _DATE.fullmatch(text)
    if match is None:
        return text
    day, offset = match["day"], match["offset"] or ""
    if match["hour"] is None:
        return f"{day}{_MIDNIGHT}{offset}"
    hour = int(match["hour"])
    if match["half"] is not None:
        if not 1 <= hour <= 12:
            return text
        hour = hour % 12 + (12 if match["half"] in "Pp" else 0)
    return f"{day}T{hour:02}:{match['minute']}:{match['second'] or '00'}{offset}"


def is_day(date: str) -> bool:
    """Whether a date of ``read_date`` stands for the whole day: it is the day's midnight."""
    return date[_DAY_LENGTH : _DAY_LENGTH + len(_MIDNIGHT)] == _MIDNIGHT


def offset_of(date: str) -> str:
    """The UTC offset of a date of ``read_date``, empty if it has none."""
    match = _DATE.fullmatch(date)
    return match["offset"] or "" if match is not None else ""
