"""How many samples a second 1, 2 and 4 worker processes store of many users, and what their CPU time goes to."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.measure import Figure, ratio, typical
from benchmarks.phone import BREATH, PATIENCE, new_phone
from benchmarks.processes import cpu_seconds
from benchmarks.sections import Scale
from benchmarks.services import worker
from benchmarks.workload import body, records
from django_healthkit_ingest.models import HealthSample, ImportBatch, ImportChunk
from django_healthkit_ingest.pipeline.accept import accept
from django_healthkit_ingest.queues import Message, captured, enqueue
from example_project.services.sqs import SQS

PROCESSES = (1, 2, 4)
BODY = 2_000
USERS = {Scale.QUICK: 2, Scale.NORMAL: 16, Scale.FULL: 32}
BODIES = {Scale.QUICK: 1, Scale.NORMAL: 2, Scale.FULL: 4}
"""Of each user."""
ROUNDS = {Scale.QUICK: 1, Scale.NORMAL: 3, Scale.FULL: 5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    samples: int
    seconds: float
    cpu: Mapping[str, float]
    """Seconds of the processor, by kind of process."""


def figures(sqs: SQS, *, scale: Scale) -> Iterator[Figure]:
    runs: dict[int, list[Run]] = {number: [] for number in PROCESSES}
    for turn in range(ROUNDS[scale]):
        for number in PROCESSES[turn % 3 :] + PROCESSES[: turn % 3]:
            runs[number].append(run(sqs, scale=scale, processes=number))
    seconds = {number: [each.seconds for each in runs[number]] for number in PROCESSES}
    yield ratio("scaling.2_vs_1", of=seconds[2], to=seconds[1], baseline="one worker process")
    yield ratio("scaling.4_vs_2", of=seconds[4], to=seconds[2], baseline="two worker processes")
    for number in PROCESSES:
        where = f"{number} worker processes, {USERS[scale]} users"
        rates = [each.samples / each.seconds for each in runs[number]]
        yield typical(f"scaling.samples_per_s_{number}", rates, unit="/s", baseline=where)
        busy = [sum(each.cpu.values()) / each.seconds for each in runs[number]]
        yield typical(f"scaling.cores_busy_{number}", busy, unit=f"of {os.cpu_count()}", baseline=where)
    everything = [each for number in PROCESSES for each in runs[number]]
    for kind in sorted(everything[0].cpu):
        spent = [1e6 * each.cpu[kind] / each.samples for each in everything]
        yield typical(f"scaling.{kind}_us", spent, unit="us", baseline="CPU per sample")


def run(sqs: SQS, *, scale: Scale, processes: int) -> Run:
    """Everything is accepted before the first message is sent. Raises RuntimeError if not all of it is stored."""
    with worker(sqs, concurrency=processes):
        store(accepted(users=processes, bodies=2))  # every process has seen a chunk
        messages = accepted(users=USERS[scale], bodies=BODIES[scale])
        before, started = cpu_seconds(), time.monotonic()
        store(messages)
        seconds = time.monotonic() - started
        after = cpu_seconds()
    samples = USERS[scale] * BODIES[scale] * BODY
    check(samples)
    return Run(samples=samples, seconds=seconds, cpu={kind: after[kind] - before[kind] for kind in before})


def accepted(*, users: int, bodies: int) -> deque[Message]:
    """The first messages of bodies that are accepted and not sent yet; no web server stands in the way."""
    with captured() as messages:
        for _ in range(users):
            phone = new_phone()
            for _ in range(bodies):
                accept(body(records(BODY)), user=phone.user)
    return messages


def store(messages: deque[Message]) -> None:
    """Send them, and wait until no chunk is left. Raises RuntimeError if that takes too long."""
    for message in messages:
        if not enqueue(message.name, user_id=message.user_id, lane=message.lane, **message.ids):
            raise RuntimeError("The queue did not take a message")
    deadline = time.monotonic() + PATIENCE
    while ImportChunk.objects.all().unfinished().exists():
        if time.monotonic() > deadline:
            raise RuntimeError(f"Not everything was stored within {PATIENCE} s")
        time.sleep(BREATH)


def check(samples: int) -> None:
    """Raises RuntimeError if the users of the last run do not have so many between them."""
    last = ImportBatch.objects.order_by("-pk")[: samples // BODY]
    stored = HealthSample.objects.filter(batch_id__in=[batch.pk for batch in last]).count()
    if stored != samples:
        raise RuntimeError(f"{stored} of {samples} samples are stored")
