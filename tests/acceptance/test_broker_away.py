"""SQS is away while phones post: they hear 202, and sweep makes it good."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from django_healthkit_ingest.core.states import Status
from example_project.demo.bodies import Body, Story
from example_project.demo.client import Receipt
from tests.acceptance.road import StartWorker, books_of, chunks_of, manage, rejections_of, rows_of, sees_it_through
from tests.sqs.front import EVERY_ACTION, Fault, Front

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]

BOUND = 10.0
"""Seconds an answer may take without a broker; PUBLISH_TIMEOUT is 2, a publish without limit takes minutes."""


@contextmanager
def hanging(front: Front) -> Iterator[None]:
    front.breaks(EVERY_ACTION, Fault.HANG)
    yield
    front.heal()


def refusing(front: Front) -> AbstractContextManager[None]:
    return front.refusing()


@pytest.mark.parametrize("away", [refusing, hanging])
def test_requests_are_accepted_and_sweep_finishes_them(
    away: Callable[[Front], AbstractContextManager[None]],
    front: Front,
    story: Story,
    twin: Any,
    user: Any,
    send: Callable[[Body], Receipt],
    start_worker: StartWorker,
) -> None:
    with start_worker() as worker:
        with away(front):
            receipts = [send(body) for body in story.bodies]
            waiting = chunks_of(user, Status.PENDING)
        swept = json.loads(manage("healthkit_ingest_sweep", "--json"))
        done = sees_it_through(user)

    assert max(receipt.seconds for receipt in receipts) < BOUND
    assert waiting == sum(chunk_count for *_, chunk_count in books_of(user))
    assert swept["messages_sent"] > 0
    assert done, worker.log
    assert rows_of(user) == rows_of(twin)
    assert rejections_of(user) == rejections_of(twin)
