"""Two queues and one worker: history goes one way, this morning another; and dead letters of both come back to work."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from django_healthkit_ingest import queues
from django_healthkit_ingest.core.states import Lane
from django_healthkit_ingest.models import HealthSample, ImportChunk
from example_project.demo.bodies import Body, Story
from example_project.services.queues import Queue, create_queue, message_count, sqs_client
from example_project.services.sqs import SQS
from tests.acceptance.road import manage, rejections_of, rows_of, sees_it_through
from tests.export_file import write_export
from tests.sqs.front import Call, Front
from tests.sqs.worker import worker

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]

LIVE_QUEUE, BACKFILL_QUEUE = "apple-health-imports", "apple-health-backfill"


@pytest.fixture
def backfill_queue(
    emulator: SQS, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Queue:
    queue = create_queue(emulator, name=f"test-{uuid4().hex}", visibility_timeout=4)
    routing = {"QUEUES": {"default": LIVE_QUEUE, "backfill": BACKFILL_QUEUE}, "CHUNK_SIZE": 60}
    monkeypatch.setenv("CELERY_APPLE_HEALTH_BACKFILL_QUEUE_URL", queue.url)
    monkeypatch.setenv("TEST_HEALTHKIT_INGEST", json.dumps(routing))
    monkeypatch.setenv("TEST_MEDIA_ROOT", str(tmp_path / "media"))
    return queue


def die(emulator: SQS, queue: Queue) -> None:
    """No worker ever sees these messages through."""
    client = sqs_client(emulator)
    while client.receive_message(QueueUrl=queue.url, VisibilityTimeout=0).get("Messages"):
        pass


def work_of(call: Call) -> tuple[str, int | None]:
    """The task of a SendMessage, and its chunk."""
    message = call.message
    return message["headers"]["task"], message["body"][1].get("chunk_id")


def test_two_lanes_two_queues_and_back_from_the_dead(
    emulator: SQS,
    front: Front,
    queue: Queue,
    backfill_queue: Queue,
    story: Story,
    twin: Any,
    user: Any,
    other_user: Any,
    send: Callable[[Body], object],
    tmp_path: Path,
    environment: dict[str, str],
) -> None:
    records = write_export(tmp_path / "export.xml", size=100_000)
    for body in story.bodies:
        send(body)
    export = str(tmp_path / "export.xml")
    manage("healthkit_ingest_import", export, "--user", str(other_user.pk), "--lane", "LIVE", "--json")
    for each in (queue, backfill_queue):
        die(emulator, each)
    dead = [message_count(emulator, url=each.dead_letter_url) for each in (queue, backfill_queue)]

    told = json.loads(manage("healthkit_ingest_dlq", "list", "--json"))
    replayed = json.loads(manage("healthkit_ingest_dlq", "replay", "--all", "--json"))
    both = f"{LIVE_QUEUE},{BACKFILL_QUEUE}"
    with worker(
        app="example_project.celery", log=tmp_path / "worker.log", env=environment, arguments=("--queues", both)
    ) as running:
        done = sees_it_through(user) and sees_it_through(other_user)

    assert dead == [1, len(story.bodies)], "the story's bodies are history"
    assert {each["task"] for each in told} == {queues.DISPATCH_BATCH, queues.SPLIT_UPLOAD}
    assert replayed["outcomes"] == {"replayed": len(story.bodies) + 1}
    assert done, running.log
    assert rows_of(user) == rows_of(twin)
    assert rejections_of(user) == rejections_of(twin)
    assert HealthSample.objects.for_user(other_user).count() == records
    assert [message_count(emulator, url=each.dead_letter_url) for each in (queue, backfill_queue)] == [0, 0]

    chunks = {chunk.pk: chunk for chunk in ImportChunk.objects.all()}
    sends = [call for call in front.calls if call.action == "SendMessage" and call.fault is None]
    groups: dict[Any, set[str | None]] = {user.pk: set(), other_user.pk: set()}
    for call in sends:
        task, chunk_id = work_of(call)
        is_history = chunks[chunk_id].lane == Lane.BACKFILL if chunk_id else task == queues.DISPATCH_BATCH
        whose = user if is_history else other_user
        assert call.parameters["QueueUrl"] == (backfill_queue if is_history else queue).url, task
        groups[whose.pk].add(call.parameters.get("MessageGroupId"))
    assert {call.parameters["QueueUrl"] for call in sends} == {queue.url, backfill_queue.url}
    assert [len(of_user) for of_user in groups.values()] == [1, 1]
    assert (groups[user.pk] != groups[other_user.pk]) is queues.SENDS_GROUPS
