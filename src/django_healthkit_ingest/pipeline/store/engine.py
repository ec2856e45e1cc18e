"""What the merge asks of a database about one user's rows, and how it is asked there.

No question may end in reading all of a user's rows, whatever the planner believes of how many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from importlib import import_module
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, cast
from uuid import UUID

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models import Field, Model

from django_healthkit_ingest.core import samples
from django_healthkit_ingest.models import HealthSample

ENGINES = {
    "postgresql": "django_healthkit_ingest.pipeline.store.postgresql",
    "sqlite": "django_healthkit_ingest.pipeline.store.sqlite",
}

AT_ONCE = 5000
"""Parameters of one statement; SQLite takes 32,766."""

Row = tuple[Any, ...]
"""Values of a model's fields; a sample's in the order of ``table.COLUMNS``."""

T = TypeVar("T")


class Moment(NamedTuple):
    """What a record without uuid and one with it share if they are one sample."""

    type_id: int
    start: datetime
    """A whole second, and so is ``end``."""
    end: datetime


class Candidate(NamedTuple):
    """What a record without uuid may be recognised by: what it may be a copy of has one of these, too."""

    twin: UUID
    unread: UUID
    """The twin key it had while its type was not known; its own one if that was never so."""
    record: samples.Sample


class Engine(Protocol):
    """What differs between databases."""

    def insert(self, cursor: CursorWrapper, rows: Iterable[Row], *, fields: Sequence[Field[Any, Any]]) -> None:
        """Write rows of the fields' model, as wide as ``fields``."""

    def find(
        self, cursor: CursorWrapper, uuids: Sequence[UUID], *, user_id: Any
    ) -> Iterable[tuple[int, int, int, int | None]]:
        """Those of these uuids that have a row of the user's: the place in ``uuids``, the row's key, rank and sync
        version."""

    def keys(self, cursor: CursorWrapper, values: Sequence[UUID], *, column: str, user_id: Any) -> Iterable[int]:
        """Keys of the user's rows that have one of these values in one of the columns of ``keys_of``."""

    def neighbours(self, cursor: CursorWrapper, moments: Sequence[Moment], *, user_id: Any) -> Iterable[int]:
        """Keys of the user's rows with a uuid at these moments."""

    def resembled(
        self,
        cursor: CursorWrapper,
        candidates: Sequence[Candidate],
        *,
        moment: Callable[[samples.Sample], Moment],
        user_id: Any,
        batch_id: int,
    ) -> Iterable[int]:
        """Places of those that a row or a trace may know; it may name more."""

    def document(self, text: str) -> Any:
        """A JSON text as ``insert`` wants it."""


def engine_of(connection: BaseDatabaseWrapper) -> Engine:
    return cast("Engine", import_module(ENGINES[connection.vendor]))


def keys_of(
    values: Iterable[UUID], *, column: Literal["uuid", "twin", "sync_key"], user_id: Any, using: str
) -> list[int]:
    """Keys of the user's rows that have one of these values, each found by the index of its column.

    ``filter(user_id=…, uuid__in=…)`` reads all rows of a user of whom the planner does not know how many there are.
    """
    connection = connections[using]
    user = sample_field("user").get_db_prep_value(user_id, connection)
    with connection.cursor() as cursor:
        found = (engine_of(connection).keys(cursor, part, column=column, user_id=user) for part in slices(set(values)))
        return [key for keys in found for key in keys]


def any_row(table: str, *, where: str, along: str) -> str:
    """SQL: whether there is such a row. ``along`` is what their index has next.

    With EXISTS a planner that knows of many such rows reads the table until it meets the first, and nearly all of it
    may lie before that.
    """
    return f"(SELECT 1 FROM {table} WHERE {where} ORDER BY {along} LIMIT 1) IS NOT NULL"


def moment(type_id: int, start: datetime, end: datetime) -> Moment:
    return Moment(type_id, start.replace(microsecond=0), end.replace(microsecond=0))


def span(type_id: int, starts: Collection[datetime]) -> Moment:
    """From the first to the last of these instants."""
    return moment(type_id, min(starts), max(starts))


def sample_field(name: str) -> Field[Any, Any]:
    return field_of(HealthSample, name)


def field_of(model: type[Model], name: str) -> Field[Any, Any]:
    field = model._meta.get_field(name)
    assert isinstance(field, Field)
    return field


def slices(keys: Iterable[T]) -> Iterator[list[T]]:
    """Parts that fit into one statement."""
    every = list(keys)
    for first in range(0, len(every), AT_ONCE):
        yield every[first : first + AT_ONCE]
