"""Whose a message is, on the wire: SQS is told enough to be fair and nothing that leads to a person."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

import django_healthkit_ingest
from django_healthkit_ingest import queues
from django_healthkit_ingest.sqs.celery_settings import celery_settings
from example_project.services.queues import Queue, create_queue
from example_project.services.sqs import SQS
from tests.sqs.current_app import current
from tests.sqs.front import Front

PIPELINE = Path(django_healthkit_ingest.__file__).parent / "pipeline"
ALLOWED = re.compile(r"[A-Za-z0-9]{1,128}")
"""Of what SQS takes, the harmless part."""

needs_groups = pytest.mark.skipif(not queues.SENDS_GROUPS, reason="kombu below 5.7 drops groups on standard queues")


@pytest.fixture
def backfill_queue(emulator: SQS, queue: Queue) -> Queue:
    return create_queue(emulator, name=f"{queue.name}-backfill")


@pytest.fixture
def on_sqs(broker_environment: dict[str, str], queue: Queue, backfill_queue: Queue, settings: Any) -> Iterator[Celery]:
    settings.HEALTHKIT_INGEST = {
        "PUBLISH_TIMEOUT": timedelta(seconds=20),
        "QUEUES": {"default": "apple-health-imports", "backfill": "apple-health-backfill"},
    }
    app = Celery("test", set_as_current=False)
    app.config_from_object(
        celery_settings(
            queue_url=queue.url, backfill_queue_url=backfill_queue.url, region=broker_environment["AWS_REGION"]
        ),
        namespace="CELERY",
    )
    with current(app):
        yield app


def parameters(front: Front) -> list[dict[str, Any]]:
    return [call.parameters for call in front.calls if call.action == "SendMessage"]


@needs_groups
def test_each_user_has_a_group_that_says_nothing_else(on_sqs: Celery, front: Front) -> None:
    first, second = 734512, 734513

    for user_id, delay in ((first, None), (second, None), (first, timedelta(minutes=1)), (None, None)):
        assert queues.enqueue(queues.PROCESS_CHUNK, user_id=user_id, delay=delay, chunk_id=1)

    groups = [sent["MessageGroupId"] for sent in parameters(front)]
    assert groups[0] == groups[2] == queues.fairness_group(first)
    assert len(set(groups)) == 3
    assert all(ALLOWED.fullmatch(group) for group in groups)
    assert parameters(front)[2]["DelaySeconds"] == 60
    messages = [str(call.message) for call in front.calls if call.action == "SendMessage"]
    assert not any(str(user_id) in text for text in (*groups, *messages) for user_id in (first, second))


def test_a_lane_is_the_choice_of_a_queue(
    on_sqs: Celery, front: Front, queue: Queue, backfill_queue: Queue, settings: Any
) -> None:
    for lane in ("LIVE", "BACKFILL"):
        assert queues.enqueue(queues.PROCESS_CHUNK, user_id=1, lane=lane, chunk_id=1)
    settings.HEALTHKIT_INGEST = {**settings.HEALTHKIT_INGEST, "QUEUES": {"default": "apple-health-imports"}}
    assert queues.enqueue(queues.PROCESS_CHUNK, user_id=1, lane="BACKFILL", chunk_id=1)

    urls = [sent["QueueUrl"] for sent in parameters(front)]
    assert urls == [queue.url, backfill_queue.url, queue.url]


@pytest.mark.parametrize(
    ("ours", "lane", "expected"),
    [
        ({}, "BACKFILL", None),
        ({"default": "d"}, "BACKFILL", "d"),
        ({"backfill": "b"}, "LIVE", None),
        ({"backfill": "b"}, "BACKFILL", "b"),
        ({"default": "d", "backfill": "b", queues.PROCESS_CHUNK: "mine"}, "LIVE", "mine"),
        ({"default": "d", "backfill": "b", queues.PROCESS_CHUNK: "mine"}, "BACKFILL", "b"),
    ],
)
def test_backfill_is_asked_before_the_task(settings: Any, ours: Any, lane: str, expected: str | None) -> None:
    settings.HEALTHKIT_INGEST = {"QUEUES": ours}

    assert queues.queue_for(queues.PROCESS_CHUNK, lane=lane) == expected


def test_a_group_is_stable_and_hangs_on_the_secret_key(settings: Any) -> None:
    before = queues.fairness_group("b7c7a1de-0000-4000-8000-000000000001"), queues.fairness_group(1)
    again = queues.fairness_group("b7c7a1de-0000-4000-8000-000000000001"), queues.fairness_group(1)
    settings.SECRET_KEY = "another"

    after = queues.fairness_group(1)

    assert again == before
    assert after != before[1]


@pytest.mark.parametrize("broker", ["memory://", "redis://127.0.0.1:1/0"])
def test_other_brokers_are_sent_what_they_always_were(
    broker: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.HEALTHKIT_INGEST = {"QUEUES": {"default": "d", "backfill": "b"}}
    seen: list[dict[str, Any]] = []
    app = Celery("test", broker=broker, set_as_current=False)
    with current(app):
        monkeypatch.setattr(app.tasks[queues.PROCESS_CHUNK], "apply_async", lambda **options: seen.append(options))

        assert queues.enqueue(queues.PROCESS_CHUNK, user_id=1, lane="BACKFILL", chunk_id=1)

    assert set(seen[0]) == {"kwargs", "queue", "retry", "retry_policy"}
    assert seen[0]["queue"] == "b"
    assert set(seen[0]["kwargs"]) == {"chunk_id", "version"}


def sends() -> list[tuple[str, ast.Call]]:
    """Every call of ``enqueue`` in the pipeline."""
    nodes = [
        (f"{path.name}:{getattr(node, 'lineno', 0)}", node)
        for path in sorted(PIPELINE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    ]
    calls = [(place, node) for place, node in nodes if isinstance(node, ast.Call)]
    return [(place, call) for place, call in calls if isinstance(call.func, ast.Name) and call.func.id == "enqueue"]


def test_no_step_of_the_pipeline_forgets_whose_work_it_sends_and_in_which_lane() -> None:
    forgetful = [
        place for place, call in sends() if not {"user_id", "lane"} <= {keyword.arg for keyword in call.keywords}
    ]

    assert len(sends()) > 5
    assert forgetful == []
