"""Whether storing gets slower as the table grows: the same imports into a small table and a large one, in turns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from benchmarks.databases import turn_to
from benchmarks.imports import accept_chunks, work_off
from benchmarks.measure import Figure, ratio, take_turns


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A filled sample table, and the users it has."""

    database: BaseDatabaseWrapper
    rows: int
    users: Iterator[Any]
    """For ever, one after the other."""


def filled(database: BaseDatabaseWrapper, *, rows: int) -> Table:
    from benchmarks import big_table

    turn_to(database)
    return Table(database=database, rows=rows, users=cycle(big_table.fill(rows)))


def figures(small: Table, large: Table, *, chunks: int, repeats: int) -> Iterator[Figure]:
    """Users who have rows already send more: that meets the indexes where they are full."""
    variants = {
        name: partial(import_chunks, table, chunks=chunks) for name, table in (("small", small), ("large", large))
    }
    seconds = take_turns(variants, repeats=repeats)
    sizes = f"{large.rows:,} rows against {small.rows:,}"
    yield ratio("growth.5m_vs_0_5m", of=seconds["large"], to=seconds["small"], baseline=sizes, target=0.9)


def import_chunks(table: Table, *, chunks: int) -> float:
    """Seconds, of so many chunks of as many users."""
    turn_to(table.database)
    return work_off(accept_chunks(islice(table.users, chunks)))
