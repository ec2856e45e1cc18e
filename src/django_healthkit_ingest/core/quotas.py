"""How much may come in how much time: ``600/min``, ``2000000000/hour``."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SECONDS = {
    "s": 1,
    "sec": 1,
    "second": 1,
    "m": 60,
    "min": 60,
    "minute": 60,
    "h": 3600,
    "hour": 3600,
    "d": 86400,
    "day": 86400,
}
_TEXT = re.compile(r"(?P<amount>[1-9][0-9]*)/(?P<unit>[a-z]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """A bucket of ``amount`` that is full again after ``seconds``, filled evenly."""

    amount: int
    seconds: int


def parse_quota(text: object) -> Quota:
    """Raises ValueError with the form it must have."""
    found = _TEXT.fullmatch(text) if isinstance(text, str) else None
    seconds = _SECONDS.get(found["unit"]) if found else None
    if found is None or seconds is None:
        raise ValueError("a quota is a whole number, a slash and one of s, min, hour, day: '600/min'")
    return Quota(amount=int(found["amount"]), seconds=seconds)
