"""Which queue our tasks go to: our setting's, and where it is silent that of the host's CELERY_TASK_ROUTES."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from django_healthkit_ingest import queues
from example_project.services.queues import Queue, create_queue
from example_project.services.sqs import SQS
from tests.acceptance.road import manage
from tests.sqs.front import Front

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]

# On a busy machine the first send of a process may outlast PUBLISH_TIMEOUT, and arrive all the same.
SEND = "from django_healthkit_ingest import queues; assert queues.enqueue(queues.SWEEP) or queues.enqueue(queues.SWEEP)"


@pytest.mark.parametrize(
    ("ours", "is_theirs"),
    [
        ({}, True),
        ({"default": "apple-health-imports"}, False),
        ({queues.PROCESS_CHUNK: "apple-health-imports"}, True),
        ({queues.SWEEP: "apple-health-imports"}, False),
    ],
)
def test_hosts_glob_decides_where_our_setting_is_silent(
    ours: dict[str, str],
    is_theirs: bool,
    environment: dict[str, str],
    emulator: SQS,
    front: Front,
    queue: Queue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs = create_queue(emulator, name=f"theirs-{uuid4().hex}")
    monkeypatch.setenv("TEST_HEALTHKIT_INGEST", json.dumps({"QUEUES": ours}))
    monkeypatch.setenv("TEST_TASK_ROUTES", json.dumps({"healthkit_ingest.*": {"queue": "theirs"}}))
    monkeypatch.setenv("TEST_OTHER_QUEUE_URL", theirs.url)

    manage("shell", "-v", "0", "-c", SEND)

    sent_to = {call.parameters["QueueUrl"] for call in front.calls if call.action == "SendMessage"}
    assert sent_to == {theirs.url if is_theirs else queue.url}
