"""kill -9 of a child or of the parent at random moments, on SQS and on Redis: nothing lost, nothing doubled."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest

from example_project.services.queues import create_queue
from tests.acceptance.broker import BROKER, BROKERS, on_redis, on_sqs
from tests.acceptance.road import manage
from tests.faults.arena import PATIENCE, Arena, Phone, arena, sees_through, story
from tests.faults.conftest import ALL, storms
from tests.faults.service import Service
from tests.sqs.front import Front, wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]

BLOWS = 50 if ALL else 4
ATTEMPTS = 2 * BLOWS + 5
"""More than the storm can use up: here it is not the chunk that kills its workers."""

LONGEST_CALM = 1.5
"""Seconds between a worker that is ready and the blow, at most."""

SWEPT_EVERY = 4
"""Blows to a sweep: one may fall between a chunk that is marked as sent and its message."""

VISIBILITY_TIMEOUT = 4


@pytest.fixture
def stormy(request: pytest.FixtureRequest, test_database: None, tmp_path: Path) -> Iterator[Arena]:
    with (
        broker_of(request.param, request) as variables,
        arena(broker=variables, folder=tmp_path, CHUNK_SIZE=30, MAX_ATTEMPTS=ATTEMPTS) as running,
    ):
        yield running


@contextmanager
def broker_of(name: str, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    if name == "redis":
        yield on_redis(request.getfixturevalue("redis_server"))
        return
    emulator = request.getfixturevalue("emulator")
    queue = create_queue(
        emulator, name=f"storm-{uuid4().hex}", visibility_timeout=VISIBILITY_TIMEOUT, max_receive_count=ATTEMPTS
    )
    with Front(emulator.endpoint_url) as front:
        yield on_sqs(emulator, front=front, queue=queue)


def kill_a_child(service: Service, *, dice: Random) -> None:
    with suppress(ProcessLookupError, IndexError):  # there is none, or it ended by itself a moment ago
        os.kill(dice.choice(service.children()), signal.SIGKILL)


def kill_the_parent(service: Service) -> None:
    worker = service.worker
    with suppress(ProcessLookupError):  # it has just ended by itself, and another takes its place
        os.kill(worker.process.pid, signal.SIGKILL)
    assert wait_until(lambda: service.worker is not worker, timeout=PATIENCE)


@pytest.mark.parametrize("stormy", BROKERS if BROKER == "sqs" else [BROKER], indirect=True, ids=str)
def test_nothing_is_lost_or_doubled(stormy: Arena, request: pytest.FixtureRequest) -> None:
    seed = int(os.environ.get("HEALTHKIT_FAULTS_SEED") or time.time())
    dice = Random(seed)
    began = time.monotonic()
    service = stormy.service
    phones: list[Phone] = []

    for number in range(BLOWS):
        if all(phone.is_done for phone in phones):
            phones.append(Phone(stormy, story(person=len(phones) % 2)))
            phones[-1].send_all()
        if number % SWEPT_EVERY == SWEPT_EVERY - 1:
            manage("healthkit_ingest_sweep", "--json")
        assert wait_until(lambda: service.is_up, timeout=PATIENCE), service.log
        time.sleep(dice.uniform(0, LONGEST_CALM))
        if number % 2:
            kill_the_parent(service)
        else:
            kill_a_child(service, dice=dice)
    done = sees_through(phones)

    name = request.node.callspec.id
    storms.append(
        f"{name}: {BLOWS} blows, {len(phones)} stories, {len(service.exits)} workers ended, "
        f"{time.monotonic() - began:.0f} s, seed {seed}"
    )
    assert done, service.log
    assert [phone.wrong() for phone in phones] == [[] for _ in phones]
    assert len(service.exits) >= BLOWS // 2
