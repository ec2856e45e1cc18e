from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery._state import get_current_app

from django_healthkit_ingest.sqs.depth import dead_letter_count, measure_queues, queue_depths
from django_healthkit_ingest.sqs.queue import QueueUnavailable
from example_project.services.queues import Queue, sqs_client
from example_project.services.sqs import SQS
from tests.sqs.app import QUEUE
from tests.sqs.front import Fault, Front

ATTRIBUTES = "GetQueueAttributes"


@pytest.fixture
def host(sender: Celery) -> Iterator[Celery]:
    """The test's Celery application is this process's, as a host's is."""
    before = get_current_app()
    sender.set_current()
    yield sender
    before.set_current()


def measures_in(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [vars(record)["measures"] for record in caplog.records if "measures" in vars(record)]


def test_depth_is_what_sqs_says(host: Celery, queue: Queue, emulator: SQS, front: Front) -> None:
    client = sqs_client(emulator)
    for _ in range(3):
        host.send_task("note", ["nowhere"])
    host.send_task("note", ["nowhere"], DelaySeconds=60)
    client.receive_message(QueueUrl=queue.url, VisibilityTimeout=60, MaxNumberOfMessages=1)
    client.send_message(QueueUrl=queue.dead_letter_url, MessageBody="x")

    depth = queue_depths()[QUEUE]

    assert (depth.visible, depth.in_flight, depth.delayed, depth.total) == (2, 1, 1, 4)
    assert dead_letter_count() == 1


def test_a_queue_without_dead_letters_has_none(host: Celery, queue: Queue, emulator: SQS) -> None:
    sqs_client(emulator).set_queue_attributes(QueueUrl=queue.url, Attributes={"RedrivePolicy": ""})

    assert dead_letter_count() is None


@pytest.mark.parametrize("fault", [Fault.DENIED, Fault.INTERNAL, Fault.RESET])
def test_a_queue_that_cannot_be_read_is_said_and_stops_nothing(
    host: Celery, front: Front, caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    front.breaks(ATTRIBUTES, fault)

    with pytest.raises(QueueUnavailable):
        queue_depths()
    measure_queues()

    assert "The queue's depth cannot be measured" in caplog.text
    assert measures_in(caplog) == []


def test_dead_letters_that_cannot_be_counted_hide_nothing_else(
    host: Celery, queue: Queue, emulator: SQS, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="django_healthkit_ingest.metrics")
    measure_queues()
    sqs_client(emulator).delete_queue(QueueUrl=queue.dead_letter_url)

    measure_queues()

    assert measures_in(caplog) == [{"queue_depth": 0, "dead_letters": 0}, {"queue_depth": 0}]


def test_another_broker_has_no_depth_to_show(caplog: pytest.LogCaptureFixture) -> None:
    before = get_current_app()
    Celery("test", broker="memory://").set_current()
    try:
        assert (queue_depths(), dead_letter_count()) == ({}, None)
        measure_queues()
    finally:
        before.set_current()

    assert measures_in(caplog) == []
