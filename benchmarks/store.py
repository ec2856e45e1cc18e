"""The merge against PostgreSQL's own limit: COPY into a table with the same columns, indexes and constraints."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any
from uuid import uuid4

from django.db import connection, transaction

from benchmarks.measure import Figure, ratio, take_turns, timed
from django_healthkit_ingest.core.formats.healthkit import HealthKitFormat
from django_healthkit_ingest.core.registry import shipped_registry
from django_healthkit_ingest.core.samples import Sample, Section
from django_healthkit_ingest.models import HealthSample
from django_healthkit_ingest.pipeline.store import postgresql
from django_healthkit_ingest.pipeline.store.copies import Place
from django_healthkit_ingest.pipeline.store.merge import merge
from django_healthkit_ingest.pipeline.store.references import type_ids
from django_healthkit_ingest.pipeline.store.staging import MARK, Row, Staging, row
from django_healthkit_ingest.testing import healthkit_body
from django_healthkit_ingest.testing.payloads import category, quantity

CHUNK = 1000
LIMIT = "bench_limit"

_users = count(1)
_START = datetime(2026, 1, 1, tzinfo=UTC)


def figures(*, quick: bool) -> Iterator[Figure]:
    chunks, repeats = (4, 3) if quick else (20, 9)
    with connection.cursor() as cursor:
        table = HealthSample._meta.db_table
        cursor.execute(f"CREATE TABLE {LIMIT} (LIKE {table} INCLUDING ALL)")
    merged = partial(_merge, chunks=chunks)
    seconds = take_turns(
        {
            "copy": partial(_copy, chunks=chunks),
            "plain": partial(_plain, chunks=chunks),
            "merge": merged,
            "duplicates": partial(merged, again=True),
        },
        repeats=repeats,
    )
    fresh = seconds["merge"]
    yield ratio("store.fresh_vs_copy", of=fresh, to=seconds["copy"], baseline="COPY BINARY", target=0.6)
    yield ratio("store.fresh_vs_plain", of=fresh, to=seconds["plain"], baseline="COPY BINARY, INSERT .. ON CONFLICT")
    yield ratio("store.duplicates_vs_fresh", of=seconds["duplicates"], to=fresh, baseline="fresh")


def _copy(*, chunks: int) -> float:
    """The limit: nothing is staged, nothing can be repeated."""
    parts = [_rows(chunk) for chunk in _samples(chunks)]
    staged = {name: kind for name, kind in postgresql.COLUMNS.items() if name != MARK}
    kinds = ["int4", "int8", *("jsonb" if name in ("metadata", "details") else staged[name] for name in staged)]
    columns = ", ".join(f'"{name}"' for name in ("user_id", "batch_id", *staged))
    sql = f"COPY {LIMIT} ({columns}) FROM STDIN (FORMAT BINARY)"
    user_id = next(_users)

    def work() -> None:
        for part in parts:
            with transaction.atomic(), connection.cursor() as cursor, cursor.copy(sql) as copy:
                copy.set_types(kinds)
                for each in part:
                    copy.write_row((user_id, 1, *each[:-1]))

    return timed(work)


def _plain(*, chunks: int) -> float:
    """The staging and one INSERT, without lock, gates and law."""
    parts = [_rows(chunk) for chunk in _samples(chunks)]
    user_id = next(_users)

    def work() -> None:
        for part in parts:
            with transaction.atomic(), connection.cursor() as cursor:
                staging = Staging(cursor, user_id=user_id, batch_id=1, using="default")
                staging.fill(part)
                staging.insert()

    return timed(work)


def _merge(*, chunks: int, again: bool = False) -> float:
    parts = _samples(chunks)
    types = type_ids({each.identifier for part in parts for each in part}, using="default")
    place = Place(user_id=next(_users), batch_id=1, chunk_id=1, only_chunk=True, using="default")

    def work() -> None:
        for part in parts:
            with transaction.atomic():
                merge(part, [], place=place, type_ids=types, source_ids={}, recall=_nothing)

    if again:
        work()
    took = timed(work)
    stored = HealthSample.objects.filter(user_id=place.user_id).count()
    if stored != chunks * CHUNK:
        raise RuntimeError(f"{stored} rows stored, not {chunks * CHUNK}")
    return took


def _samples(chunks: int) -> list[list[Sample]]:
    """Mixed samples, as a worker has parsed them."""
    moments = (_START + timedelta(seconds=7 * n) for n in count())
    return [_parse([_record(n, next(moments)) for n in range(CHUNK)]) for _ in range(chunks)]


def _record(n: int, moment: datetime) -> dict[str, Any]:
    start = moment.isoformat()
    if n % 10 == 0:
        return category("HKCategoryTypeIdentifierSleepAnalysis", category=n % 5, start=start, source=None)
    name, unit = (("HeartRate", "count/min"), ("StepCount", "count"), ("ActiveEnergyBurned", "kcal"))[n % 3]
    identifier = f"HKQuantityTypeIdentifier{name}"
    return quantity(identifier, value=50 + n % 90, unit=unit, start=start, source=None, uuid=str(uuid4()))


def _parse(records: list[dict[str, Any]]) -> list[Sample]:
    wire = HealthKitFormat()
    envelope = wire.split(healthkit_body(*records), time_zone=None)
    raw = b"[" + b",".join(envelope.records[Section.SAMPLES]) + b"]"
    parsed = wire.parse(raw, section=Section.SAMPLES, first_index=0, time_zone=None, registry=shipped_registry())
    return [each for each in parsed if isinstance(each, Sample)]


def _rows(samples: list[Sample]) -> list[Row]:
    types = type_ids({each.identifier for each in samples}, using="default")
    return [row(each, type_ids=types, source_ids={}, is_member=False) for each in samples]


def _nothing(chunk_ids: Any) -> list[Sample]:
    return []
