from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import pytest
from celery import Celery

from example_project.services.queues import Queue, create_queue
from example_project.services.sqs import SQS, sqs
from tests.sqs.app import build
from tests.sqs.current_app import forget_clients
from tests.sqs.front import Front
from tests.sqs.worker import Worker, worker

VISIBILITY_TIMEOUT = 2
MAX_RECEIVES = 3


@pytest.fixture(scope="session")
def emulator() -> Iterator[SQS]:
    with sqs() as running:
        yield running


@pytest.fixture
def front(emulator: SQS) -> Iterator[Front]:
    with Front(emulator.endpoint_url) as listening:
        yield listening


@pytest.fixture
def queue(emulator: SQS) -> Queue:
    """One for each test, created behind the front's back."""
    return create_queue(
        emulator,
        name=f"test-{uuid4().hex}",
        visibility_timeout=VISIBILITY_TIMEOUT,
        max_receive_count=MAX_RECEIVES,
    )


@pytest.fixture
def broker_environment(emulator: SQS, front: Front, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """For this process and for workers; all calls go through the front."""
    environment = {**replace(emulator, endpoint_url=front.url).environment(), "TEST_QUEUE_URL": queue.url}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


@pytest.fixture
def sender(broker_environment: dict[str, str]) -> Iterator[Celery]:
    forget_clients()
    with build(broker_environment) as app:
        yield app


class StartWorker(Protocol):
    def __call__(self, **env: str) -> AbstractContextManager[Worker]: ...


@pytest.fixture
def start_worker(broker_environment: dict[str, str], tmp_path: Path) -> StartWorker:
    def start(**env: str) -> AbstractContextManager[Worker]:
        log = tmp_path / f"worker-{uuid4().hex}.log"
        return worker(app="tests.sqs.worker_app", log=log, env={**broker_environment, **env})

    return start
