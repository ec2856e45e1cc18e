"""The bulky parts of samples, kept apart from their rows and gone with them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django_healthkit_ingest.core import samples
from django_healthkit_ingest.models import HealthSample, SampleSeries
from django_healthkit_ingest.pipeline.store.engine import slices

ONE_SECOND = timedelta(seconds=1)


def store_series(records: Iterable[samples.Sample], *, user_id: Any, using: str) -> None:
    """Keep the best version of each series; the records' samples are alive."""
    best: dict[tuple[UUID, str], SampleSeries] = {}
    for record in records:
        for each in record.series:
            key = (series_key(record), each.name)
            if key not in best or record.rank > best[key].rank:
                best[key] = SampleSeries(
                    user_id=user_id,
                    sample_key=key[0],
                    name=each.name,
                    rank=record.rank,
                    points=each.points,
                    payload=each.payload,
                )
    if not best:
        return
    rows = SampleSeries.objects.using(using)
    there: dict[tuple[UUID, str], tuple[int, int]] = {}
    for part in slices({key for key, _ in best}):
        found = rows.filter(user_id=user_id, sample_key__in=part)
        there |= {
            (key, name): (pk, rank) for pk, key, name, rank in found.values_list("id", "sample_key", "name", "rank")
        }
    rows.bulk_create([row for key, row in best.items() if key not in there], batch_size=100)
    for key, row in best.items():
        if key in there and row.rank > there[key][1]:
            rows.filter(pk=there[key][0]).update(rank=row.rank, points=row.points, payload=row.payload)


def drop_series(gone: Iterable[HealthSample], *, user_id: Any, using: str) -> int:
    """Series of rows that were deleted, and how many; a fingerprint's stay while another row has it."""
    rows = SampleSeries.objects.using(using).filter(user_id=user_id)
    by_key: dict[UUID, list[HealthSample]] = {}
    dropped = 0
    for row in gone:
        for key in (row.uuid, row.fingerprint):
            if key is not None:
                by_key.setdefault(key, []).append(row)
    for part in slices(by_key):
        for key in set(rows.filter(sample_key__in=part).values_list("sample_key", flat=True)):
            if not any(_is_shared(row, key, user_id=user_id, using=using) for row in by_key[key]):
                dropped += rows.filter(sample_key=key)._raw_delete(using)
    return dropped


def series_key(record: samples.Sample) -> UUID:
    return record.uuid if record.uuid is not None else record.fingerprint


def _is_shared(row: HealthSample, key: UUID, *, user_id: Any, using: str) -> bool:
    """Whether a row that is still there has the fingerprint, too; found by the reading index."""
    if key != row.fingerprint:
        return False
    second = row.start.replace(microsecond=0)
    twins = HealthSample.objects.using(using).filter(user_id=user_id, type_id=row.type_id, start__gte=second)
    return twins.filter(start__lt=second + ONE_SECOND, fingerprint=key).exists()
