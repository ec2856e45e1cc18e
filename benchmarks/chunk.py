"""The whole way of a chunk through a worker, claim to commit, beside what teams write and what Django does best."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from uuid import uuid4

from benchmarks import imports, workload
from benchmarks.baselines import bulk, chunked
from benchmarks.baselines.models import ChunkedSample
from benchmarks.measure import Figure, ratio, take_turns, timed, typical
from benchmarks.sections import Scale
from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.models import HealthSample, Source
from django_healthkit_ingest.pipeline.store.references import type_ids

AFTER = "chunks of 100, get_or_create, update_or_create"
BULK = "msgspec, bulk_create(ignore_conflicts)"

_batches = count(10**9)


def figures(*, scale: Scale) -> Iterator[Figure]:
    chunks, repeats = (1, 2) if scale is Scale.QUICK else (4, 11)
    slow = 100 if scale is Scale.QUICK else 300
    turns = variants("fresh", "duplicates", "bulk", chunks=chunks) | {"after": partial(_after, samples=slow)}
    took = take_turns(turns, repeats=repeats)
    fresh = took["fresh"]
    yield ratio("chunk.fresh_vs_after", of=fresh, to=took["after"], baseline=AFTER, target=60)
    yield ratio("chunk.fresh_vs_bulk_create", of=fresh, to=took["bulk"], baseline=BULK, target=3)
    yield ratio("chunk.duplicates_vs_fresh", of=took["duplicates"], to=fresh, baseline="fresh", target=1.2)
    yield rate("chunk.fresh_samples_per_s", fresh)


def variants(*names: str, chunks: int) -> dict[str, Callable[[], float]]:
    """Each answers seconds per sample."""
    samples = chunks * get_settings().chunk_size
    every: dict[str, Callable[[], float]] = {
        "fresh": partial(_ours, samples=samples),
        "duplicates": partial(_ours, samples=samples, again=True),
        "bulk": partial(_bulk, samples=samples),
    }
    return {name: every[name] for name in names}


def rate(name: str, seconds: Sequence[float]) -> Figure:
    return typical(name, [1 / each for each in seconds], unit="/s", baseline="one process")


def _ours(*, samples: int, again: bool = False) -> float:
    """Seconds per sample; ``again``: another batch has brought the same records before."""
    (user,) = imports.new_users(1)
    records = workload.records(samples)
    chunk_ids = imports.accept_records(records, user=user)
    if again:
        imports.work_off(chunk_ids)
        chunk_ids = imports.accept_records(records, user=user)
        took = imports.work_off(chunk_ids, outcome="duplicate")
    else:
        took = imports.work_off(chunk_ids)
    expect(samples, HealthSample.objects.for_user(user).count())
    return took / samples


def _bulk(*, samples: int) -> float:
    (user,) = imports.new_users(1)
    records = workload.records(samples)
    types = type_ids({record["type"] for record in records}, using="default")
    products = {record["source"]["product_type"] for record in records}
    sources = {product: Source.objects.create(**_source(product, user_id=user.pk)).pk for product in products}
    size = get_settings().chunk_size
    payloads = [workload.array(records[first : first + size]) for first in range(0, samples, size)]
    batch_id = next(_batches)

    def work() -> None:
        for payload in payloads:
            bulk.store_chunk(payload, user_id=user.pk, batch_id=batch_id, type_ids=types, source_ids=sources)

    took = timed(work)
    expect(samples, HealthSample.objects.for_user(user).count())
    return took / samples


def _after(*, samples: int) -> float:
    (user,) = imports.new_users(1)
    records = workload.records(samples)
    size = chunked.CHUNK
    payloads = [workload.array(records[first : first + size]) for first in range(0, samples, size)]
    batch_id = next(_batches)

    def work() -> None:
        for payload in payloads:
            chunked.store_chunk(payload, user_id=user.pk, batch_id=batch_id)

    took = timed(work)
    expect(samples, ChunkedSample.objects.filter(user=user).count())
    return took / samples


def _source(product: str, *, user_id: int) -> dict[str, object]:
    return {"user_id": user_id, "key": uuid4(), "product_type": product, "precedence": 1}


def expect(number: int, stored: int) -> None:
    if stored != number:
        raise RuntimeError(f"{stored} rows stored, not {number}")
