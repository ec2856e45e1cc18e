"""What the whole road needs: a durable PostgreSQL, SQS in a process of its own, and Django set up on both."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from benchmarks.database import SIZE, set_up
from example_project.demo import host
from example_project.services.queues import create_queue, sqs_client
from example_project.services.sqs import SQS
from example_project.services.supervise import Supervised
from example_project.services.together import start_services

MOMENT = 0.1
"""Seconds."""


@contextmanager
def road(*, with_valkey: bool = False) -> Iterator[SQS]:
    """This process and those it starts use these services; the database is empty, and nothing runs on them yet."""
    with start_services(with_valkey=with_valkey, durable=True, postgres_settings=SIZE) as services:
        assert services.sqs is not None
        queue = create_queue(services.sqs, name=host.QUEUE)
        os.environ.update(services.environment(), CELERY_BROKER_URL="sqs://", CELERY_APPLE_HEALTH_QUEUE_URL=queue.url)
        set_up()
        yield services.sqs
        from django.db import connections

        connections.close_all()


@contextmanager
def worker(sqs: SQS, *, concurrency: int = host.PROCESSES) -> Iterator[Supervised]:
    """A prefork worker, after which another may follow at once.

    moto does not see that a worker has gone: it would hand the next message to the last poll, where it is nobody's
    until its visibility timeout is over. That poll is given a message of no meaning.
    """
    with host.worker(concurrency=concurrency) as process:
        yield process
    client, url = sqs_client(sqs), os.environ["CELERY_APPLE_HEALTH_QUEUE_URL"]
    client.send_message(QueueUrl=url, MessageBody="nothing")
    time.sleep(MOMENT)
    for message in client.receive_message(QueueUrl=url).get("Messages", ()):  # there was no such poll
        client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def reach(sqs: SQS, *, through: str) -> None:
    """Processes started from here on speak to SQS through the server of that URL."""
    os.environ.update(replace(sqs, endpoint_url=through).environment())
