"""The embedded default: the whole way of a chunk on SQLite, beside what Django does best there."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.database import fresh_file
from benchmarks.measure import Figure, ratio, take_turns
from benchmarks.sections import Scale


def figures(*, scale: Scale) -> Iterator[Figure]:
    chunks, repeats = (1, 2) if scale is Scale.QUICK else (4, 11)
    with fresh_file():
        from benchmarks import chunk

        took = take_turns(chunk.variants("fresh", "duplicates", "bulk", chunks=chunks), repeats=repeats)
    fresh = took["fresh"]
    yield ratio("sqlite.vs_bulk_create", of=fresh, to=took["bulk"], baseline=chunk.BULK, target=2)
    yield ratio("sqlite.duplicates_vs_fresh", of=took["duplicates"], to=fresh, baseline="fresh")
    yield chunk.rate("sqlite.fresh_samples_per_s", fresh)
