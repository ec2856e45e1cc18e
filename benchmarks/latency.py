"""From the POST of 500 samples until the last row is visible, on an idle system; and what of it is SQS."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks import services
from benchmarks.measure import Figure, typical
from benchmarks.phone import compressed, new_phone
from benchmarks.quantiles import quantile
from benchmarks.sections import Scale
from django_healthkit_ingest.models import ImportChunk
from example_project.demo import host
from example_project.services.sqs import SQS
from tests.sqs.front import Answer, Front

SAMPLES = 500
SYNCS = {Scale.QUICK: 3, Scale.NORMAL: 60, Scale.FULL: 200}
WARM_UP = 4
PAUSE = (0.1, 0.4)
"""Seconds between two syncs, so that they meet the worker's poll at every stage of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """Seconds since the POST began."""

    answered: float
    claimed: float
    visible: float
    began: float
    """Of the monotonic clock."""


def figures(url: str, *, scale: Scale) -> Iterator[Figure]:
    syncs = [sync(url) for _ in range(SYNCS[scale])]
    visible = [1000 * each.visible for each in syncs]
    what = f"{SAMPLES} samples, POST to last row"
    yield typical("latency.e2e_ms", visible, unit="ms", baseline=what, target=1500, at_least=False)
    yield typical("latency.e2e_p95_ms", visible, value=quantile(visible, 0.95), unit="ms", baseline=what)
    yield typical("latency.post_ms", [1000 * each.answered for each in syncs], unit="ms", baseline="POST to its answer")
    claimed = [1000 * (each.claimed - each.answered) for each in syncs]
    yield typical("latency.queued_ms", claimed, unit="ms", baseline="answer to the chunk's claim")
    stored = [1000 * (each.visible - each.claimed) for each in syncs]
    yield typical("latency.stored_ms", stored, unit="ms", baseline="claim to last row")


def warm_up(url: str) -> None:
    """Until every process has seen a body or a chunk."""
    for _ in range(WARM_UP):
        sync(url)


def sync(url: str) -> Sync:
    """A new user's. Raises RuntimeError if it is not stored."""
    phone, content = new_phone(url), compressed(SAMPLES)
    time.sleep(random.uniform(*PAUSE))  # noqa: S311
    at, began = time.time(), time.monotonic()
    phone.send(content)
    answered = time.monotonic() - began
    phone.wait(samples=SAMPLES)
    visible = time.monotonic() - began
    claimed = ImportChunk.objects.get(user_id=phone.user.pk).claimed_at
    assert claimed is not None
    return Sync(answered=answered, claimed=claimed.timestamp() - at, visible=visible, began=began)


def share_of_moto(sqs: SQS, *, scale: Scale) -> Figure:
    """Measured apart: the front that times the calls costs some milliseconds at each."""
    with Front(sqs.endpoint_url) as front:
        services.reach(sqs, through=front.url)
        with host.api() as url, services.worker(sqs):
            warm_up(url)
            syncs = [sync(url) for _ in range(max(2, SYNCS[scale] // 3))]
    services.reach(sqs, through=sqs.endpoint_url)
    shares = [in_sqs(front.answers, sync=each) / each.visible for each in syncs]
    return typical("latency.moto_share", shares, unit="of it", baseline="calls to moto that the row waits for")


def in_sqs(answers: list[Answer], *, sync: Sync) -> float:
    """Seconds within which a call of this sync was with SQS, up to the delivery of its last message.

    A message that waits for a poll to begin waits for the worker; what is deleted after the delivery holds up nobody.
    """
    until = sync.began + sync.visible
    mine = [each for each in answers if each.at >= sync.began and each.call.at < until]
    sent = {
        json.loads(each.body)["MessageId"]: each.call.at
        for each in mine
        if each.call.action == "SendMessage" and each.call.at >= sync.began
    }
    deliveries = [
        (max(each.call.at, sent[message["MessageId"]]), each.at)
        for each in mine
        if each.call.action == "ReceiveMessage"
        for message in json.loads(each.body).get("Messages", ())
        if message["MessageId"] in sent
    ]
    last = max(end for _, end in deliveries)
    calls = [(each.call.at, each.at) for each in mine if each.call.action in ("SendMessage", "DeleteMessage")]
    return covered([(max(begin, sync.began), min(end, last)) for begin, end in (*deliveries, *calls) if begin < last])


def covered(intervals: list[tuple[float, float]]) -> float:
    """Seconds that lie in at least one."""
    seconds, reached = 0.0, float("-inf")
    for begin, end in sorted(intervals):
        seconds += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return seconds
