"""A history on its way into the database: cut, shuffled, repeated; and what it left there."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any
from uuid import uuid4

from django.test import override_settings

from django_healthkit_ingest import queues
from django_healthkit_ingest.core.states import OUTCOMES, Status
from django_healthkit_ingest.models import HealthSample, ImportBatch, ImportChunk, database
from django_healthkit_ingest.pipeline.accept import accept
from django_healthkit_ingest.pipeline.finish import finish
from django_healthkit_ingest.pipeline.process import process
from tests.truth.histories import History, Sync
from tests.truth.oracle import Row, canonical

CHUNK_SIZES = (1, 2, 3, 1000)


def deliver(
    history: History, *, user: Any, random: Random, chunk_sizes: Sequence[int] = CHUNK_SIZES, repeats: int = 2
) -> list[ImportBatch]:
    """Every batch once, some again, in any order; chunks of one batch between those of others; messages twice."""
    waiting: list[Sync] = [*history, *random.sample(history, k=random.randint(0, min(repeats, len(history))))]
    random.shuffle(waiting)
    batches: list[ImportBatch] = []
    undone: list[int] = []
    with queues.captured():
        while waiting or undone:
            if waiting and (not undone or random.random() < 0.5):
                batch = take_in(waiting.pop(), user=user, random=random, chunk_sizes=chunk_sizes)
                batches.append(batch)
                undone += ImportChunk.objects.using(database()).filter(batch=batch).values_list("pk", flat=True)
            else:
                chunk_id = undone.pop(random.randrange(len(undone)))
                for _ in range(random.choice((1, 1, 2))):
                    process(chunk_id=chunk_id, task_id=str(uuid4()))
        for batch in batches:
            finish(batch_id=batch.pk)
    return batches


def take_in(sync: Sync, *, user: Any, random: Random, chunk_sizes: Sequence[int] = CHUNK_SIZES) -> ImportBatch:
    order = random.sample(range(len(sync.records)), k=len(sync.records))
    with override_settings(HEALTHKIT_INGEST={"CHUNK_SIZE": random.choice(chunk_sizes)}):
        return accept(sync.body(order=order), user=user, format=sync.format)


def stored(user: Any) -> list[Row]:
    samples = HealthSample.objects.using(database()).for_user(user)
    return sorted((_row(sample) for sample in samples), key=repr)


def unbalanced(batches: Sequence[ImportBatch]) -> list[str]:
    """Books that do not balance, and batches that did not end well."""
    wrong: list[str] = []
    for batch in batches:
        batch.refresh_from_db()
        for books in (batch, *batch.chunks.all()):
            outcomes = {name: getattr(books, name) for name in OUTCOMES}
            if books.status != Status.COMPLETED or books.received != sum(outcomes.values()) or books.rejected:
                wrong.append(f"{books} received {books.received}: {outcomes}")
    return wrong


def _row(sample: HealthSample) -> Row:
    return Row(
        type=sample.identifier,
        start=sample.start,
        end=sample.end,
        uuid=sample.uuid,
        value=sample.value,
        category=sample.category,
        unit=sample.raw_unit,
        metadata=canonical(sample.metadata),
        source=sample.source.name if sample.source is not None else None,
        rank=sample.rank,
        fp_seq=sample.fp_seq if sample.uuid is None else None,
    )
