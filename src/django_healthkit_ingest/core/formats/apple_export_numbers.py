"""Numbers as an export prints them."""

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
