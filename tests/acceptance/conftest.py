from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.db import connection
from rest_framework.authtoken.models import Token

from django_healthkit_ingest.testing import ingest
from example_project.demo import host
from example_project.demo.bodies import Body, Story, tell
from example_project.demo.client import Receipt, post
from example_project.demo.people import PEOPLE
from example_project.services.queues import Queue, create_queue
from example_project.services.sqs import SQS
from tests.acceptance.road import StartWorker
from tests.sqs.conftest import emulator, front
from tests.sqs.front import Front
from tests.sqs.worker import worker

__all__ = ["emulator", "front"]

VISIBILITY_TIMEOUT = 4


@pytest.fixture
def queue(emulator: SQS) -> Queue:
    return create_queue(emulator, name=f"test-{uuid4().hex}", visibility_timeout=VISIBILITY_TIMEOUT)


@pytest.fixture
def environment(
    emulator: SQS,
    front: Front,
    queue: Queue,
    transactional_db: None,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, str]:
    """Of the example project, set here and so for all processes: this test's database and queue, and no Redis."""
    if connection.vendor != "postgresql":
        pytest.skip("several processes at once in one database: the acceptance tests run on PostgreSQL")
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    variables = {
        **replace(emulator, endpoint_url=front.url).environment(),
        "CELERY_BROKER_URL": "sqs://",
        "CELERY_APPLE_HEALTH_QUEUE_URL": queue.url,
        "DATABASE_URL": database.geturl(),
        "DJANGO_ALLOWED_HOSTS": "127.0.0.1",
        "DJANGO_SECRET_KEY": secrets.token_urlsafe(32),
        "DJANGO_SETTINGS_MODULE": "tests.acceptance.settings",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("REDIS_URL", raising=False)
    return variables


@pytest.fixture
def api(environment: dict[str, str]) -> Iterator[str]:
    with host.api() as url:
        yield url


@pytest.fixture
def start_worker(environment: dict[str, str], tmp_path: Path) -> StartWorker:
    return lambda: worker(app="example_project.celery", log=tmp_path / f"{uuid4().hex}.log", env=environment)


@pytest.fixture(scope="session")
def story() -> Story:
    """Three days of one person: two requests, some forty chunks, deletions and faults among them."""
    return tell(PEOPLE[0], days=3, seed=1)


@pytest.fixture
def send(api: str, user: Any) -> Callable[[Body], Receipt]:
    """POST as the user. Raises for any answer but one of the 200s."""
    token = Token.objects.create(user=user).key
    return lambda body: post(body, url=api, token=token, idempotency_key=body.idempotency_key)


@pytest.fixture
def twin(environment: dict[str, str], story: Story, user_factory: Callable[[], Any]) -> Any:
    """A user for whom the same requests went through in this process, undisturbed."""
    twin = user_factory()
    for body in story.bodies:
        ingest(body.content, user=twin, content_encoding="gzip")
    return twin
