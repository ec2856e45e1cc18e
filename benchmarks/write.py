"""What a worker does: read, normalise, merge, commit."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.database import fresh_database
from benchmarks.measure import Figure
from benchmarks.sections import Scale


def figures(*, scale: Scale) -> Iterator[Figure]:
    with fresh_database():
        from benchmarks import chunk, parse, sizes, store

        for part in (parse, store, chunk, sizes):
            yield from part.figures(scale=scale)
