"""Numbers and dates as an export prints them."""

from __future__ import annotations

from math import isfinite

_MAX_LENGTH = 64


def read_number(text: str) -> float | None:
    """None for what is no finite number."""
    if len(text) > _MAX_LENGTH:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) and "_" not in text else None


def read_date(text: str) -> str:
    """``2026-01-01 08:00:00 +0100`` as nearly all phones write it, which is read fastest; other texts as they are."""
    if len(text) == 25 and text[19] == " " and text[10] in " Tt":
        return f"{text[:10]}T{text[11:19]}{text[20:23]}:{text[23:]}"
    return text
