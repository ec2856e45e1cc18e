"""The next rows by key: each slice is one range of an index, wherever it begins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db import models

_Model = TypeVar("_Model", bound=models.Model)

Place = list[Any]
"""Of a row in an order, as JSON keeps it."""


def read_slice(rows: models.QuerySet[_Model], *, order: Sequence[str], after: Place | None, size: int) -> list[_Model]:
    """At most ``size`` rows behind a place; none only at the end. ``order`` is unique, all rising.

    First those that differ in the last column only, then in the last two, and so on: one comparison of all columns
    would be a range to PostgreSQL's planner in none of the forms that Django can write.
    """
    if after is None:
        return list(rows.order_by(*order)[:size])
    for depth in reversed(range(len(order))):
        same = dict(zip(order[:depth], after[:depth], strict=True))
        beyond = rows.filter(**same, **{f"{order[depth]}__gt": after[depth]})
        if found := list(beyond.order_by(*order[depth:])[:size]):
            return found
    return []


def place_of(row: models.Model, *, order: Sequence[str]) -> Place:
    return [_as_json(getattr(row, name)) for name in order]


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value
