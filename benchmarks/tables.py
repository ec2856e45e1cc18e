"""What happens when the sample table is big: storing, reading, bytes, and a table larger than memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import DEFAULT_DB_ALIAS, connections

from benchmarks.database import fresh_database
from benchmarks.databases import copy_of_database, turn_to
from benchmarks.measure import Figure
from benchmarks.sections import Scale


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Rows of the tables; samples to weigh; chunks a round, rounds, pages read."""

    small: int
    large: int
    weighed: int
    chunks: int
    rounds: int
    pages: int


SIZES = {
    Scale.QUICK: Sizes(small=10_000, large=20_000, weighed=2_000, chunks=1, rounds=1, pages=3),
    Scale.NORMAL: Sizes(small=100_000, large=1_000_000, weighed=50_000, chunks=10, rounds=7, pages=51),
    Scale.FULL: Sizes(small=500_000, large=5_000_000, weighed=100_000, chunks=20, rounds=9, pages=101),
}


def figures(*, scale: Scale) -> Iterator[Figure]:
    sizes = SIZES[scale]
    with fresh_database():
        from benchmarks import beyond_memory, growth, reading, size  # they import models

        weighed, large_database = copy_of_database("weighed"), copy_of_database("large")
        small_database = connections[DEFAULT_DB_ALIAS]
        turn_to(weighed)
        yield from size.figures(samples=sizes.weighed)
        large = growth.filled(large_database, rows=sizes.large)
        yield from reading.figures(large, repeats=sizes.pages)
        small = growth.filled(small_database, rows=sizes.small)
        yield from growth.figures(small, large, chunks=sizes.chunks, repeats=sizes.rounds)
        with beyond_memory.starved_table(rows=sizes.large) as starved:
            yield from beyond_memory.figures(large, starved, repeats=sizes.rounds)
        turn_to(small_database)
        weighed.close()
        large_database.close()
