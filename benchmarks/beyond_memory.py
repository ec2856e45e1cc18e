"""What storing costs once the table is larger than memory: a server that keeps next to nothing, beside a roomy one.

The starved server has 16 MB of shared buffers and bypasses the operating system's cache (``debug_io_direct``, since
PostgreSQL 16), so whatever is not in those 16 MB is read from the disk. It needs no cgroup and no root.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import dj_database_url
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connection, connections

from benchmarks.databases import another, turn_to
from benchmarks.growth import Table, filled, import_chunks
from benchmarks.measure import Figure, ratio, take_turns, typical
from django_healthkit_ingest.models import HealthSample
from example_project.services.postgresql import own_postgresql

STARVED = {"shared_buffers": "16MB", "debug_io_direct": "data", "effective_cache_size": "16MB"}
CHUNKS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Since the server began to count."""

    read: int
    """Blocks of 8 KiB that were not in the shared buffers."""
    wal: int
    """Bytes."""
    page_images: int
    """Whole pages in the WAL, one for each first change after a checkpoint."""


@contextmanager
def starved_table(*, rows: int) -> Iterator[Table]:
    """A filled table on a server without memory."""
    roomy = connections[DEFAULT_DB_ALIAS]
    with own_postgresql(durable=True, settings=STARVED) as server:
        database = another(roomy, dj_database_url.parse(server.url))
        turn_to(database)
        call_command("migrate", verbosity=0)
        try:
            yield filled(database, rows=rows)
        finally:
            database.close()
            turn_to(roomy)


def figures(roomy: Table, starved: Table, *, repeats: int) -> Iterator[Figure]:
    seconds = take_turns(
        {name: partial(import_chunks, each, chunks=CHUNKS) for name, each in (("in", roomy), ("beyond", starved))},
        repeats=repeats,
    )
    mebibytes = _table_bytes(starved) / 2**20
    yield ratio(
        "beyond_memory.vs_in_memory",
        of=seconds["beyond"],
        to=seconds["in"],
        baseline=f"in memory; {starved.rows:,} rows, {mebibytes:,.0f} MB, on 16 MB",
    )
    for name, table in (("in_memory", roomy), ("beyond_memory", starved)):
        for what, (value, unit) in _per_sample(table).items():
            yield typical(f"{name}.{what}", [value], unit=unit, baseline="per sample")


def _per_sample(table: Table) -> Mapping[str, tuple[float, str]]:
    """Of as many chunks as the server takes between two checkpoints, beginning with one."""
    turn_to(table.database)
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")
    stored, before = HealthSample.objects.count(), _traffic()
    import_chunks(table, chunks=CHUNKS * 5)
    after, samples = _traffic(), HealthSample.objects.count() - stored
    return {
        "blocks_read": ((after.read - before.read) / samples, "blocks"),
        "wal_bytes": ((after.wal - before.wal) / samples, "B"),
        "page_images": ((after.page_images - before.page_images) / samples, "pages"),
    }


def _traffic() -> Traffic:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(
            "SELECT (SELECT sum(reads)::int8 FROM pg_stat_io WHERE object = 'relation'),"
            " (SELECT wal_bytes::int8 FROM pg_stat_wal), (SELECT wal_fpi FROM pg_stat_wal)"
        )
        return Traffic(**dict(zip(("read", "wal", "page_images"), cursor.fetchone(), strict=True)))


def _table_bytes(table: Table) -> int:
    turn_to(table.database)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_total_relation_size(%s)", [HealthSample._meta.db_table])
        (size,) = cursor.fetchone()
    return int(size)
