"""Samples on the pipeline's own road, without a broker: accepted in this process, and worked off chunk by chunk."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib.auth import get_user_model

from benchmarks import workload
from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import ImportChunk
from django_healthkit_ingest.pipeline.accept import accept
from django_healthkit_ingest.pipeline.process import process

DAY = 1000
"""Samples; one chunk."""


def new_users(number: int) -> list[Any]:
    model = get_user_model()
    return model.objects.bulk_create([model(username=secrets.token_hex(8)) for _ in range(number)])


def accept_chunks(users: Iterable[Any], *, samples: int = DAY) -> list[int]:
    """A body of new mixed samples of each; answers the keys of its chunks."""
    return [key for user in users for key in accept_records(workload.records(samples), user=user)]


def accept_records(records: list[dict[str, Any]], *, user: Any) -> list[int]:
    batch = accept(workload.body(records), user=user)
    return list(ImportChunk.objects.filter(batch=batch).order_by("pk").values_list("pk", flat=True))


def work_off(chunk_ids: Sequence[int], *, outcome: str = "inserted") -> float:
    """Seconds that a worker needs for these. Raises RuntimeError unless that became of every record."""
    started = time.perf_counter()
    for chunk_id in chunk_ids:
        process(chunk_id=chunk_id, task_id=f"benchmark-{chunk_id}")
    took = time.perf_counter() - started
    done = ImportChunk.objects.filter(pk__in=chunk_ids, status=Status.COMPLETED)
    received, counted = map(sum, zip(*done.values_list("received", outcome), strict=True))
    if len(done) != len(chunk_ids) or counted != received:
        raise RuntimeError(f"{len(done)} of {len(chunk_ids)} chunks completed, {outcome} {counted} of {received}")
    return took


def store(user: Any, records: Sequence[dict[str, Any]]) -> None:
    """All of it, in bodies of one chunk. Raises RuntimeError unless every record became a row."""
    for first in range(0, len(records), DAY):
        work_off(accept_records(list(records[first : first + DAY]), user=user))
