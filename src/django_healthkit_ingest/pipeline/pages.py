"""Pages of a list by key and not by number: rows that arrive meanwhile shift nothing and repeat nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar, overload

from django.db import models
from django.db.models import Q

from django_healthkit_ingest.exceptions import InvalidQuery
from django_healthkit_ingest.pipeline.handles import sealer, unseal

MAX_SIZE = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORWARD, _BACKWARD = 0, 1

Row = TypeVar("Row")
Shown = TypeVar("Shown")
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Row]):
    """``next`` and ``previous`` are cursors, None where there is no such page; ``cursors`` has one for each row."""

    rows: Sequence[Row]
    cursors: Sequence[str]
    next: str | None
    previous: str | None

    def of(self, shown: Sequence[Shown]) -> Page[Shown]:
        """The same page, its rows as they are shown."""
        return Page(rows=shown, cursors=self.cursors, next=self.next, previous=self.previous)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """By an instant (None: by the key alone), then by primary key; both rise, or both fall."""

    field: str | None = None
    descending: bool = False

    def place(self, row: Any) -> tuple[int, ...]:
        """Of a model's row, or of a named tuple of its values."""
        if self.field is None:
            return (row.pk,)
        return (_microseconds(getattr(row, self.field)), row.pk)

    def after(self, place: tuple[int, ...], *, backward: bool) -> Q:
        beyond = "lt" if self.descending != backward else "gt"
        if self.field is None:
            return Q(**{f"pk__{beyond}": place[0]})
        moment = _EPOCH + timedelta(microseconds=place[0])
        # The first condition is implied by the second and is what the index understands.
        return Q(**{f"{self.field}__{beyond}e": moment}) & (
            Q(**{f"{self.field}__{beyond}": moment}) | Q(**{self.field: moment, f"pk__{beyond}": place[1]})
        )

    def names(self, *, backward: bool) -> tuple[str, ...]:
        sign = "-" if self.descending != backward else ""
        return tuple(sign + name for name in (self.field, "pk") if name is not None)


def read_page(
    rows: models.QuerySet[Any, _Found], *, order: Order, cursor: str | None, size: int, scope: str
) -> Page[_Found]:
    """One query, one row more than shown; of models, or of named tuples that have ``pk`` and the order's field.

    ``scope`` names the list and its user: a cursor fits no other.
    Raises InvalidQuery for a size outside 1 to MAX_SIZE and a cursor that is not this list's.
    """
    if not 1 <= size <= MAX_SIZE:
        raise InvalidQuery(f"A page has 1 to {MAX_SIZE} rows.")
    direction, *place = _read(cursor, order=order, scope=scope)
    backward = direction == _BACKWARD
    if place:
        rows = rows.filter(order.after(tuple(place), backward=backward))
    found = list(rows.order_by(*order.names(backward=backward))[: size + 1])
    has_more, found = len(found) > size, found[:size]
    if backward:
        found.reverse()
    seal = sealer(scope=scope)
    has_next = bool(found) and (has_more or backward)
    has_previous = bool(found) and (has_more if backward else cursor is not None)
    return Page(
        rows=found,
        cursors=_Cursors(found, order=order, seal=seal),
        next=seal(_FORWARD, *order.place(found[-1])) if has_next else None,
        previous=seal(_BACKWARD, *order.place(found[0])) if has_previous else None,
    )


class _Cursors(Sequence[str]):
    """Of each row, made when it is asked for: only GraphQL does."""

    def __init__(self, rows: Sequence[Any], *, order: Order, seal: Callable[..., str]) -> None:
        self._rows, self._order, self._seal = rows, order, seal

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return _Cursors(self._rows[index], order=self._order, seal=self._seal)
        return self._seal(_FORWARD, *self._order.place(self._rows[index]))

    def __len__(self) -> int:
        return len(self._rows)


def _read(cursor: str | None, *, order: Order, scope: str) -> tuple[int, ...]:
    if cursor is None:
        return (_FORWARD,)
    numbers = unseal(cursor, scope=scope)
    if numbers is None or len(numbers) != (2 if order.field is None else 3):
        raise InvalidQuery("The cursor is not one of this list's; begin again without it.")
    return numbers


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def scope_of(name: str, *, user: Any, **filters: object) -> str:
    """Of a list: another filter makes another list, for which the cursor has no place."""
    chosen = "&".join(f"{key}={value}" for key, value in sorted(filters.items()) if value is not None)
    return f"{name}:{user.pk}:{chosen}"
