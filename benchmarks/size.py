"""Bytes per stored sample, table and indexes, ours and AFTER's schema with the same records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.db import connection, models

from benchmarks import workload
from benchmarks.baselines.chunked import columns, fingerprint
from benchmarks.baselines.models import ChunkedSample, SampleFingerprint
from benchmarks.imports import new_users, store
from benchmarks.measure import Figure, typical
from django_healthkit_ingest.models import HealthSample

USERS = 10
AT_ONCE = 5000


def figures(*, samples: int) -> Iterator[Figure]:
    """In an empty database; ``samples`` of several users, whose syncs alternate. Counted, not timed: once is enough."""
    users = new_users(USERS)
    share = samples // USERS // 5
    for _ in range(5):
        for user in users:
            records = workload.records(share)
            store(user, records)
            _store_after(user.pk, records)
    rows = HealthSample.objects.count()
    for model in (ChunkedSample, SampleFingerprint):
        if model._default_manager.count() != rows:
            raise RuntimeError(f"{model.__name__} does not have as many rows as ours")
    ours, heap = _sizes(HealthSample)
    after, their_heap = _sizes(ChunkedSample, SampleFingerprint)
    total = sum(ours.values(), heap)
    baseline = f"{rows:,} mixed samples"
    yield typical("size.bytes_per_sample", [total / rows], unit="B", baseline=baseline)
    times = total / sum(after.values(), their_heap)
    yield typical("size.vs_after", [times], unit="x", baseline="AFTER's two tables", target=0.4, at_least=False)
    for name, size in {"heap": heap, **ours}.items():
        short = name.removeprefix(f"{HealthSample._meta.db_table}_").removeprefix("hki_sample_")
        yield typical(f"size.{short}_bytes", [size / rows], unit="B", baseline=baseline)


def _store_after(user_id: Any, records: list[dict[str, Any]]) -> None:
    digests = [fingerprint(each, user_id=user_id) for each in records]
    SampleFingerprint._default_manager.bulk_create(
        [SampleFingerprint(user_id=user_id, fingerprint=digest) for digest in digests], batch_size=AT_ONCE
    )
    pairs = zip(digests, records, strict=True)
    ChunkedSample._default_manager.bulk_create(
        [ChunkedSample(user_id=user_id, batch_id=1, fingerprint=digest, **columns(each)) for digest, each in pairs],
        batch_size=AT_ONCE,
    )


def _sizes(*tables: type[models.Model]) -> tuple[Mapping[str, int], int]:
    """Bytes of each index by name, and of the heaps with TOAST and maps, after a VACUUM."""
    indexes: dict[str, int] = {}
    heap = 0
    with connection.cursor() as cursor:
        for model in tables:
            table = model._meta.db_table
            cursor.execute(f"VACUUM (ANALYZE) {connection.ops.quote_name(table)}")
            cursor.execute("SELECT pg_table_size(%s)", [table])
            heap += cursor.fetchone()[0]
            cursor.execute(
                "SELECT indexrelname, pg_relation_size(indexrelid) FROM pg_stat_user_indexes WHERE relname = %s",
                [table],
            )
            indexes |= dict(cursor.fetchall())
    return indexes, heap
