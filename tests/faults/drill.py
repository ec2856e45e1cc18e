"""One fault on one SQS action in the middle of a backfill, and what came of it."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass

from example_project.services.queues import Queue, message_count
from example_project.services.sqs import SQS
from tests.faults.arena import PATIENCE, Arena, Phone, sees_through, story
from tests.faults.service import Service
from tests.sqs.front import Fault, Front, wait_until

ACTIONS = ("SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes")

HOLD = 2.0
"""Seconds the fault stays after it was met, so that whoever tries again meets it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    action: str
    fault: Fault

    @property
    def id(self) -> str:
        return f"{self.action}-{self.fault.name.lower()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    drill: Drill
    met: int
    """How often the fault was met."""
    exits: tuple[int, ...]
    """Codes of the workers that ended, negative: by that signal."""
    unhealthy: int
    """How many of them the health check ended."""
    is_done: bool
    wrong: tuple[str, ...]
    left: int
    """Messages still in the queue when all was done; one that stays would come round for ever."""
    dead: int
    seconds: float

    @property
    def is_right(self) -> bool:
        return self.met > 0 and self.is_done and not self.wrong and not self.left and not self.dead


def kill_the_children(service: Service) -> None:
    """Their messages are given back at once, by ChangeMessageVisibility."""
    for pid in service.children():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_the_parent(service: Service) -> None:
    """The next one asks for the queue's attributes when it connects."""
    service.worker.kill()


def provoke(action: str, service: Service) -> None:
    """See to it that a worker calls an action that workers seldom call."""
    if action == "ChangeMessageVisibility":
        kill_the_children(service)
    elif action == "GetQueueAttributes":
        kill_the_parent(service)


def perform(drill: Drill, *, arena: Arena, front: Front, emulator: SQS, queue: Queue) -> Outcome:
    """The fault begins while two chunks are being merged, and a second request comes while it lasts."""
    began = time.monotonic()
    service = arena.service
    met, exits, unhealthy = front.faults(drill.action), len(service.exits), service.unhealthy
    phone = Phone(arena, story())
    try:
        with phone.holding_merges():
            phone.send(0)
            assert wait_until(phone.in_work, timeout=PATIENCE), service.log
            front.breaks(drill.action, drill.fault)
            provoke(drill.action, service)
        phone.send(1)
        wait_until(lambda: front.faults(drill.action) > met, timeout=PATIENCE / 4)
        time.sleep(HOLD)
    finally:
        front.heal(cutting=False)
    done = sees_through([phone])
    wait_until(lambda: message_count(emulator, url=queue.url) == 0, timeout=PATIENCE / 4)
    return Outcome(
        drill=drill,
        met=front.faults(drill.action) - met,
        exits=tuple(service.exits[exits:]),
        unhealthy=service.unhealthy - unhealthy,
        is_done=done,
        wrong=tuple(phone.wrong()),
        left=message_count(emulator, url=queue.url),
        dead=message_count(emulator, url=queue.dead_letter_url),
        seconds=time.monotonic() - began,
    )
