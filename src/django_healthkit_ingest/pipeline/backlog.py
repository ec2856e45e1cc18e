"""The read model of the whole pipeline: what waits, what runs and what became of the last hour's chunks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Avg, Count, DurationField, ExpressionWrapper, F, Q, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from django_healthkit_ingest.core.states import OUTCOMES, Status
from django_healthkit_ingest.models import ImportBatch, ImportChunk, ImportUpload, database
from django_healthkit_ingest.pipeline.measures import SHOWN_AS
from django_healthkit_ingest.pipeline.switches import paused

RECENT = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Counts of rows at one moment; nothing in it says whose they are."""

    paused: tuple[str, ...]
    oldest_chunk_age: float
    """Seconds that the chunk which has waited longest for a worker has waited."""
    chunks_sent: int
    """A message for them is on its way."""
    chunks_unsent: int
    """Behind others of their user, waiting for their time, or for a broker that is away."""
    chunks_processing: int
    chunks_retried: int
    """Of those above, the ones whose first attempt did not end them."""
    batches_open: int
    uploads_open: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """What became of chunks in the last hour."""

    chunks_completed: int
    chunks_failed: Mapping[str, int]
    """By error code."""
    chunk_seconds: float | None
    """Mean, from claim to commit; None if no chunk was completed."""
    samples: Mapping[str, int]
    """By outcome."""


def backlog() -> Backlog:
    """Three short queries on partial indexes, one on the open batches, one on the uploads."""
    using = database()
    unfinished = ImportChunk.objects.using(using).all().unfinished()
    counts = unfinished.aggregate(
        sent=Count("pk", filter=Q(status=Status.PENDING, sent_at__isnull=False)),
        unsent=Count("pk", filter=Q(status=Status.PENDING, sent_at__isnull=True)),
        processing=Count("pk", filter=Q(status=Status.PROCESSING)),
        retried=Count("pk", filter=Q(status=Status.PENDING, attempts__gt=0) | Q(attempts__gt=1)),
    )
    return Backlog(
        paused=tuple(sorted(paused())),
        oldest_chunk_age=oldest_age().total_seconds(),
        chunks_sent=counts["sent"],
        chunks_unsent=counts["unsent"],
        chunks_processing=counts["processing"],
        chunks_retried=counts["retried"],
        batches_open=ImportBatch.objects.using(using).all().open().count(),
        uploads_open=ImportUpload.objects.using(using).all().unfinished().count(),
    )


def oldest_age() -> timedelta:
    """How long the chunk that has waited longest for a worker has waited; zero if none waits."""
    now = timezone.now()
    since = ImportChunk.objects.using(database()).all().due(now=now).values_list("due_at", flat=True).first()
    return timedelta(0) if since is None else now - since


def recent() -> Recent:
    """Reads the rows of the last hour's chunks, by the index of those that have their payload."""
    ended = ImportChunk.objects.using(database()).filter(
        payload__isnull=False, finished_at__gte=timezone.now() - RECENT
    )
    completed = ended.filter(status=Status.COMPLETED).aggregate(
        chunks=Count("pk"),
        duration=Avg(ExpressionWrapper(F("finished_at") - F("claimed_at"), output_field=DurationField())),
        **{name: Coalesce(Sum(name), 0) for name in OUTCOMES},
    )
    samples = {name: completed[name] for name in OUTCOMES if name not in SHOWN_AS}
    for name, shown in SHOWN_AS.items():
        samples[shown] += completed[name]
    failed = ended.filter(status=Status.FAILED).values("error_code").annotate(number=Count("pk")).order_by("error_code")
    return Recent(
        chunks_completed=completed["chunks"],
        chunks_failed={row["error_code"]: row["number"] for row in failed},
        chunk_seconds=None if completed["duration"] is None else completed["duration"].total_seconds(),
        samples=samples,
    )
