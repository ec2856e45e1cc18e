"""From a POST to rows through a real worker, without Redis; and what SQS got to see of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from example_project.demo.bodies import Body, Story
from example_project.demo.client import Receipt
from example_project.demo.compare import differences
from tests.acceptance.road import StartWorker, sees_it_through
from tests.sqs.front import Front

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]

IDS = {"batch_id", "chunk_id"}


def test_the_road_without_redis_sends_ids_only(
    front: Front, story: Story, user: Any, send: Callable[[Body], Receipt], start_worker: StartWorker
) -> None:
    with start_worker() as worker:
        receipts = [send(body) for body in story.bodies]
        done = sees_it_through(user)

    assert done, worker.log
    assert differences(story, user=user, imports={receipt.import_id: receipt.body for receipt in receipts}) == []
    asked = {call.action for call in front.calls}
    assert asked.isdisjoint({"CreateQueue", "ListQueues", "GetQueueUrl"})
    messages = [call.message for call in front.calls if call.action == "SendMessage"]
    assert len(messages) > len(story.bodies)
    for message in messages:
        positional, named, _ = message["body"]
        assert positional == []
        assert named.pop("version") == 1
        assert set(named) <= IDS
        assert all(type(value) is int for value in named.values())
        assert "HKQ" not in str(message)
        assert message["headers"]["task"].startswith("healthkit_ingest.")
