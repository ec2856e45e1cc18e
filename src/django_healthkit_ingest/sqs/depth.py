"""How many messages there are: what Amazon says about our queues and their dead-letter queues."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from django_healthkit_ingest.pipeline.measures import queue_measured
from django_healthkit_ingest.sqs.broker import broker
from django_healthkit_ingest.sqs.queue import QueueUnavailable, attributes_of, dead_letter_queues, queues

logger = logging.getLogger("django_healthkit_ingest")

VISIBLE = "ApproximateNumberOfMessages"
IN_FLIGHT = "ApproximateNumberOfMessagesNotVisible"
DELAYED = "ApproximateNumberOfMessagesDelayed"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDepth:
    """Approximate, as Amazon counts."""

    visible: int
    """Waiting for a worker."""
    in_flight: int
    """Received by a worker and not yet deleted."""
    delayed: int
    """To be tried again later."""

    @property
    def total(self) -> int:
        return self.visible + self.in_flight + self.delayed


def queue_depths() -> Mapping[str, QueueDepth]:
    """By the name Celery knows the queue by; empty if the broker is not SQS. Raises QueueUnavailable."""
    if not broker().is_sqs:
        return {}
    found = {queue.name: attributes_of(queue.url, client=queue.client) for queue in queues()}
    return {
        name: QueueDepth(
            visible=int(attributes[VISIBLE]),
            in_flight=int(attributes[IN_FLIGHT]),
            delayed=int(attributes[DELAYED]),
        )
        for name, attributes in found.items()
    }


def dead_letter_count() -> int | None:
    """None: there is no dead-letter queue, or this process may not look into it, which api and worker need not."""
    if not broker().is_sqs:
        return None
    try:
        return sum(int(attributes_of(each.url, client=each.client)[VISIBLE]) for each in dead_letter_queues())
    except QueueUnavailable:
        return None


def measure_queues() -> None:
    """Log the depth of all queues as one measure, for a process that runs on a schedule anyway."""
    try:
        depths = queue_depths()
    except QueueUnavailable as error:
        logger.warning("The queue's depth cannot be measured: %s", error)
        return
    if depths:
        queue_measured(depth=sum(each.total for each in depths.values()), dead_letters=dead_letter_count())
