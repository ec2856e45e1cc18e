from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
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
from tests.acceptance.broker import BROKER, host_variables, on_redis, on_sqs, only_on_sqs, redis_url
from tests.acceptance.road import StartWorker
from tests.sqs.conftest import emulator
from tests.sqs.front import Front
from tests.sqs.worker import worker

__all__ = ["emulator"]

VISIBILITY_TIMEOUT = 4


@pytest.fixture
def front(request: pytest.FixtureRequest) -> Iterator[Front]:
    only_on_sqs()
    with Front(request.getfixturevalue("emulator").endpoint_url) as listening:
        yield listening


@pytest.fixture
def queue(request: pytest.FixtureRequest) -> Queue:
    only_on_sqs()
    name = f"test-{uuid4().hex}"
    return create_queue(request.getfixturevalue("emulator"), name=name, visibility_timeout=VISIBILITY_TIMEOUT)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    with redis_url() as url:
        yield url


@pytest.fixture
def broker_variables(request: pytest.FixtureRequest) -> dict[str, str]:
    """Of the broker that HEALTHKIT_TEST_BROKER names; the other one is not even started."""
    if BROKER == "redis":
        return on_redis(request.getfixturevalue("redis_server"))
    find = request.getfixturevalue
    return on_sqs(find("emulator"), front=find("front"), queue=find("queue"))


@pytest.fixture
def environment(
    broker_variables: dict[str, str],
    transactional_db: None,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, str]:
    """Of the example project, set here and so for all processes: this test's database and broker, and no cache."""
    if connection.vendor != "postgresql":
        pytest.skip("several processes at once in one database: the acceptance tests run on PostgreSQL")
    variables = {**broker_variables, **host_variables()}
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
    return lambda body: post(body, url=api, authorization=f"Token {token}", idempotency_key=body.idempotency_key)


@pytest.fixture
def twin(environment: dict[str, str], story: Story, user_factory: Callable[[], Any]) -> Any:
    """A user for whom the same requests went through in this process, undisturbed."""
    twin = user_factory()
    for body in story.bodies:
        ingest(body.content, user=twin, content_encoding="gzip")
    return twin
