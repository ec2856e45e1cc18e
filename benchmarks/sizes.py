"""How large a chunk should be: what a claim, a commit and the books cost, spread over more or fewer records."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from django.test import override_settings

from benchmarks import chunk, imports, workload
from benchmarks.measure import Figure, ratio, take_turns
from benchmarks.sections import Scale
from django_healthkit_ingest.models import HealthSample

SIZES = (500, 1000, 2000, 5000, 10_000)
REFERENCE = 1000


def figures(*, scale: Scale) -> Iterator[Figure]:
    sizes, samples, repeats = ((500, REFERENCE), 1000, 1) if scale is Scale.QUICK else (SIZES, 20_000, 3)
    took = take_turns({str(size): partial(_chunks_of, size, samples=samples) for size in sizes}, repeats=repeats)
    for size in sizes:
        if size != REFERENCE:
            baseline = f"chunks of {REFERENCE}"
            yield ratio(f"chunk.size_{size}", of=took[str(size)], to=took[str(REFERENCE)], baseline=baseline)


def _chunks_of(size: int, *, samples: int) -> float:
    (user,) = imports.new_users(1)
    with override_settings(HEALTHKIT_INGEST={"CHUNK_SIZE": size, "RATE_LIMITING_ENABLED": False}):
        took = imports.work_off(imports.accept_records(workload.records(samples), user=user))
    chunk.expect(samples, HealthSample.objects.for_user(user).count())
    return took
