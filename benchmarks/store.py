"""The merge against PostgreSQL's own limit, and what a record costs that is there already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count
from typing import Any

from django.db import connection, transaction

from benchmarks import workload
from benchmarks.baselines import limit
from benchmarks.measure import Figure, ratio, take_turns, timed, typical
from benchmarks.sections import Scale
from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.core.formats.envelope import join
from django_healthkit_ingest.core.formats.healthkit import HealthKitFormat
from django_healthkit_ingest.core.registry import shipped_registry
from django_healthkit_ingest.core.samples import Sample, Section
from django_healthkit_ingest.models import HealthSample
from django_healthkit_ingest.pipeline.store.engine import Row
from django_healthkit_ingest.pipeline.store.merge import merge
from django_healthkit_ingest.pipeline.store.place import Place
from django_healthkit_ingest.pipeline.store.references import type_ids
from django_healthkit_ingest.pipeline.store.table import SampleTable

_users = count(10**6)
"""Far from the real ones, which other figures make."""


def figures(*, scale: Scale) -> Iterator[Figure]:
    chunks, repeats = (2, 2) if scale is Scale.QUICK else (4, 15)
    limit.create_table()
    seconds = take_turns(
        {
            "copy": partial(_copy, chunks=chunks),
            "merge": partial(_merge, chunks=chunks),
            "duplicates": partial(_merge, chunks=chunks, again=True),
        },
        repeats=repeats,
    )
    fresh, copied = seconds["merge"], seconds["copy"]
    same = "COPY BINARY, same table"
    yield ratio("store.fresh_vs_copy", of=fresh, to=copied, baseline=same, target=0.6)
    # No relation of ours is a constraint, so the table without foreign keys is the same one.
    yield ratio("store.fresh_vs_copy_nofk", of=fresh, to=copied, baseline=f"{same}: it has none", target=0.6)
    yield ratio("store.duplicates_vs_fresh", of=seconds["duplicates"], to=fresh, baseline="the merge, fresh")
    yield from _cost_of_duplicates(chunks=chunks)


def _copy(*, chunks: int) -> float:
    user_id = next(_users)
    parts = [_rows(part, user_id=user_id) for part in _samples(chunks)]
    took = timed(lambda: limit.store_chunks(parts))
    _expect(sum(map(len, parts)), table=limit.TABLE, user_id=user_id)
    return took


def _merge(*, chunks: int, again: bool = False) -> float:
    parts = _samples(chunks)
    user_id = next(_users)
    work = _work(parts, user_id=user_id)
    if again:
        work()
    took = timed(work)
    _expect(sum(map(len, parts)), table=HealthSample._meta.db_table, user_id=user_id)
    return took


def _cost_of_duplicates(*, chunks: int) -> Iterator[Figure]:
    parts = _samples(chunks)
    work = _work(parts, user_id=next(_users))
    work()
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")  # what is written next would otherwise carry whole pages of the first time
        work()
        wal, size = _written(cursor)
        work()
        wal, size = (after - before for before, after in zip((wal, size), _written(cursor), strict=True))
    number = sum(map(len, parts))
    each, grown = [wal / number], [float(size)]
    yield typical("store.duplicate_wal_bytes", each, unit="B", baseline="WAL of each", target=10, at_least=False)
    where = "table and indexes"
    yield typical("store.duplicate_heap_growth", grown, unit="B", baseline=where, target=0, at_least=False)


def _written(cursor: Any) -> tuple[int, int]:
    """Bytes of WAL so far, and of the table and its indexes."""
    cursor.execute(
        "SELECT pg_current_wal_insert_lsn() - '0/0', pg_total_relation_size(%s)", [HealthSample._meta.db_table]
    )
    wal, size = cursor.fetchone()
    return int(wal), int(size)


def _work(parts: Sequence[Sequence[Sample]], *, user_id: int) -> Any:
    place = Place(user_id=user_id, batch_id=1, chunk_id=1, only_chunk=True, using="default")
    types = type_ids({each.identifier for part in parts for each in part}, using="default")
    sources = {each.source: 1 for part in parts for each in part if each.source is not None}

    def work() -> None:
        for part in parts:
            with transaction.atomic():
                merge(part, [], place=place, type_ids=types, source_ids=sources, recall=lambda _: ())

    return work


def _samples(chunks: int) -> list[list[Sample]]:
    """Mixed samples, as a worker has parsed them, in chunks as shipped."""
    size = get_settings().chunk_size
    return [_parse(workload.records(size)) for _ in range(chunks)]


def _parse(records: list[dict[str, Any]]) -> list[Sample]:
    wire = HealthKitFormat()
    envelope = wire.split(workload.body(records), time_zone=None)
    raw = join(envelope.records[Section.SAMPLES])
    parsed = wire.parse(raw, section=Section.SAMPLES, first_index=0, time_zone=None, registry=shipped_registry())
    samples = [each for each in parsed if isinstance(each, Sample)]
    if len(samples) != len(records):
        raise RuntimeError("Not every record could be read.")
    return samples


def _rows(samples: Sequence[Sample], *, user_id: int) -> list[Row]:
    types = type_ids({each.identifier for each in samples}, using="default")
    sources = {each.source: 1 for each in samples if each.source is not None}
    with connection.cursor() as cursor:
        table = SampleTable(cursor, user_id=user_id, batch_id=1, using="default", type_ids=types, source_ids=sources)
        return [table.row(each) for each in samples]


def _expect(number: int, *, table: str, user_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table} WHERE user_id = %s", [user_id])
        (stored,) = cursor.fetchone()
    if stored != number:
        raise RuntimeError(f"{stored} rows stored, not {number}")
