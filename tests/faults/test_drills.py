"""Once a fault is gone everything gets processed, by the same worker or by the one started after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest

from example_project.services.queues import Queue, create_queue
from example_project.services.sqs import SQS
from tests.acceptance.broker import on_sqs, only_on_sqs
from tests.faults.arena import Arena, arena
from tests.faults.conftest import ALL, outcomes
from tests.faults.drill import ACTIONS, Drill, perform
from tests.sqs.front import Fault, Front

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]

VISIBILITY_TIMEOUT = 4

SLICE = (Drill(action="ReceiveMessage", fault=Fault.DENIED),)  # the one that ends the worker
EVERY = tuple(Drill(action=action, fault=fault) for action in ACTIONS for fault in Fault)


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    arena: Arena
    front: Front
    queue: Queue


@pytest.fixture(scope="module")
def broken(emulator: SQS, test_database: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broken]:
    only_on_sqs()
    queue = create_queue(emulator, name=f"drills-{uuid4().hex}", visibility_timeout=VISIBILITY_TIMEOUT)
    with Front(emulator.endpoint_url) as front:
        variables = on_sqs(emulator, front=front, queue=queue)
        with arena(broker=variables, folder=tmp_path_factory.mktemp("drills")) as running:
            yield Broken(arena=running, front=front, queue=queue)


@pytest.mark.parametrize("drill", EVERY if ALL else SLICE, ids=lambda drill: drill.id)
def test_everything_is_processed_once_the_fault_is_gone(drill: Drill, broken: Broken, emulator: SQS) -> None:
    outcome = perform(drill, arena=broken.arena, front=broken.front, emulator=emulator, queue=broken.queue)

    outcomes.append(outcome)
    assert outcome.met > 0
    assert outcome.is_done, broken.arena.service.log
    assert outcome.wrong == ()
    assert (outcome.left, outcome.dead) == (0, 0)
