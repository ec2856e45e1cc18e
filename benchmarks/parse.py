"""What Python does to a record, bytes to the driver's buffer, with a full report of each field that is wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from django.db import connection

from benchmarks import workload
from benchmarks.baselines import limit
from benchmarks.baselines.inline import SampleSerializer
from benchmarks.measure import Figure, ratio, take_turns, typical
from benchmarks.sections import Scale
from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.core.formats.healthkit import HealthKitFormat
from django_healthkit_ingest.core.registry import shipped_registry
from django_healthkit_ingest.core.samples import Sample, Section
from django_healthkit_ingest.pipeline.store.references import type_ids
from django_healthkit_ingest.pipeline.store.table import SampleTable

SLOW = 1000
"""Records for what takes a hundred times as long."""


def figures(*, scale: Scale) -> Iterator[Figure]:
    number, repeats = (2000, 2) if scale is Scale.QUICK else (10_000, 15)
    limit.create_bare_table()
    records = workload.records(number)
    size = get_settings().chunk_size
    whole = workload.array(records)
    chunks = [workload.array(records[first : first + size]) for first in range(0, number, size)]
    types = type_ids({record["type"] for record in records}, using="default")
    took = take_turns(
        {
            "json": partial(_cpu, partial(json.loads, whole), samples=number),
            "chunks": partial(_cpu, lambda: [json.loads(each) for each in chunks], samples=number),
            "parsed": partial(_cpu, lambda: [_parse(each) for each in chunks], samples=number),
            "ours": partial(_cpu, partial(_to_buffers, chunks, type_ids=types), samples=number),
            "serializer": partial(_cpu, partial(_serialize, records[:SLOW]), samples=SLOW),
        },
        repeats=repeats,
    )
    ours, plain = took["ours"], "json.loads of the same bytes"
    # How many times as long, not how many times as fast: numerator and denominator change places.
    yield ratio(
        "parse.us_per_sample_vs_json_loads", of=took["json"], to=ours, baseline=plain, target=4.5, at_least=False
    )
    yield ratio("parse.vs_json_loads_by_chunk", of=took["chunks"], to=ours, baseline="json.loads of each chunk")
    yield ratio("parse.without_copy_vs_json_loads", of=took["json"], to=took["parsed"], baseline=plain)
    yield ratio("parse.vs_list_serializer", of=ours, to=took["serializer"], baseline="DRF ListSerializer, dicts given")
    yield typical("parse.us_per_sample", [1e6 * each for each in ours], unit="us", baseline="CPU")


def _cpu(work: Callable[[], object], *, samples: int) -> float:
    """CPU seconds of this process per sample: PostgreSQL's are its own."""
    started = time.process_time()
    work()
    return (time.process_time() - started) / samples


def _parse(payload: bytes) -> list[Sample]:
    parsed = HealthKitFormat().parse(
        payload, section=Section.SAMPLES, first_index=0, time_zone=None, registry=shipped_registry()
    )
    samples = [each for each in parsed if isinstance(each, Sample)]
    if len(samples) != payload.count(b'"uuid"'):
        raise RuntimeError("Not every record could be read.")
    return samples


def _to_buffer(payload: bytes, *, type_ids: dict[str, int]) -> None:
    samples = _parse(payload)
    sources = {each.source: 1 for each in samples if each.source is not None}
    with connection.cursor() as cursor:
        table = SampleTable(cursor, user_id=1, batch_id=1, using="default", type_ids=type_ids, source_ids=sources)
        limit.copy([table.row(each) for each in samples], table=limit.BARE, cursor=cursor)


def _to_buffers(chunks: Sequence[bytes], *, type_ids: dict[str, int]) -> None:
    for each in chunks:
        _to_buffer(each, type_ids=type_ids)


def _serialize(records: Sequence[object]) -> None:
    SampleSerializer(data=records, many=True).is_valid(raise_exception=True)
