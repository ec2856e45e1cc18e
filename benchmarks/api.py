"""The api that requests are measured at: gunicorn, a durable PostgreSQL, the rate limits' Redis, and moto as SQS.

No worker: nothing else runs, and what was accepted stays as it was.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks import services, workload
from example_project.demo import host
from example_project.services.queues import message_count

OURS, FLOOR = "/health/imports/", "/baselines/floor/"
OURS_SILENT, FLOOR_SILENT = "/baselines/imports/silent/", "/baselines/floor/silent/"
"""The same without their messages."""
INLINE = "/baselines/inline/"

PROCESSED = 1_000


@contextmanager
def served() -> Iterator[tuple[str, Callable[[], int]]]:
    """Its URL, and what counts the messages that have reached the queue."""
    with services.road(with_valkey=True) as sqs:
        process_one()
        with host.api() as url:
            yield url, partial(message_count, sqs, url=os.environ["CELERY_APPLE_HEALTH_QUEUE_URL"])


def process_one() -> None:
    """As on a server whose workers work: an answer then also says when its batch will be done."""
    from django.contrib.auth import get_user_model

    from django_healthkit_ingest.testing import ingest

    user = get_user_model().objects.create_user("processed")
    ingest(workload.body(workload.records(PROCESSED)), user=user)


def check(sent: Counter[str], *, requests: Counter[str], messages: int) -> None:
    """That everything answered 202 is there; both counters are by path, ``sent`` of samples. Raises RuntimeError."""
    from django.db.models import Count, Sum

    from benchmarks.baselines.models import InlineSample
    from django_healthkit_ingest.conf import get_settings
    from django_healthkit_ingest.models import ImportBatch, ImportChunk

    batches = ImportBatch.objects.aggregate(number=Count("pk"), received=Sum("received"), chunks=Sum("chunk_count"))
    chunks = ImportChunk.objects.filter(payload__isnull=False).aggregate(number=Count("pk"), received=Sum("received"))
    taken = sent[OURS] + sent[OURS_SILENT] + PROCESSED
    size = get_settings().chunk_size
    parts = sum(-(-received // size) for received in ImportBatch.objects.values_list("received", flat=True))
    facts = {
        "batches": (batches["number"], requests[OURS] + requests[OURS_SILENT] + 1),
        "their records": (batches["received"], taken),
        "their chunks": (batches["chunks"], parts),
        "chunks": (chunks["number"], parts),
        "the chunks' records": (chunks["received"], taken),
        "messages": (messages, requests[OURS] + requests[FLOOR]),
        "rows of BEFORE": (InlineSample._default_manager.count(), sent[INLINE]),
    }
    for name, (found, expected) in facts.items():
        if found != expected:
            raise RuntimeError(f"{name}: {found}, not {expected}")
