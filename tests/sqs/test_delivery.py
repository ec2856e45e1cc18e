"""What happens to a message on SQS under ``celery_settings``, with a real worker."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from example_project.services.queues import Queue, message_count
from example_project.services.sqs import SQS
from tests.sqs.conftest import MAX_RECEIVES, StartWorker
from tests.sqs.front import EVERY_ACTION, Fault, Front, wait_until

pytestmark = pytest.mark.acceptance


def processes(journal: Path) -> list[int]:
    return [int(line) for line in journal.read_text().splitlines()] if journal.exists() else []


def test_message_of_a_task_that_always_fails_becomes_a_dead_letter(
    emulator: SQS, queue: Queue, sender: Celery, start_worker: StartWorker, tmp_path: Path
) -> None:
    too_slow, failing = tmp_path / "too_slow", tmp_path / "failing"

    with start_worker(TEST_TIME_LIMIT="1") as worker:
        sender.send_task("fail", [str(failing)])
        sender.send_task("note_and_sleep", [str(too_slow), 60])
        sender.send_task("a_task_of_a_newer_release")

        all_died = wait_until(lambda: message_count(emulator, url=queue.dead_letter_url) == 3, timeout=30)

    assert all_died, worker.log
    assert len(processes(failing)) == MAX_RECEIVES
    assert len(processes(too_slow)) == MAX_RECEIVES


def test_message_comes_back_when_its_process_or_its_worker_is_killed(
    emulator: SQS, queue: Queue, front: Front, sender: Celery, start_worker: StartWorker, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    with start_worker() as worker:
        sender.send_task("note_and_sleep", [str(journal), 1])
        wait_until(lambda: len(processes(journal)) == 1, timeout=10)
        os.kill(processes(journal)[0], signal.SIGKILL)
        came_back_to_the_worker = wait_until(lambda: len(processes(journal)) == 2, timeout=10)
        worker.kill()

    with start_worker() as another:
        came_back_to_another = wait_until(lambda: len(processes(journal)) == 3, timeout=10)
        done = wait_until(lambda: message_count(emulator, url=queue.url) == 0, timeout=10)

    assert came_back_to_the_worker, worker.log
    assert came_back_to_another, another.log
    assert done, another.log
    assert message_count(emulator, url=queue.dead_letter_url) == 0
    asked = {call.action for call in front.calls}
    assert asked >= {"SendMessage", "ReceiveMessage", "DeleteMessage"}
    assert asked.isdisjoint({"CreateQueue", "ListQueues", "GetQueueUrl"})


def test_sending_to_an_sqs_that_never_answers_ends(front: Front, sender: Celery) -> None:
    front.breaks(EVERY_ACTION, Fault.HANG)

    with pytest.raises(OperationalError):
        sender.send_task("note", ["/dev/null"])


def test_sending_survives_one_refusal_for_load(front: Front, sender: Celery) -> None:
    front.breaks("SendMessage", Fault.UNAVAILABLE, times=1)

    sender.send_task("note", ["/dev/null"])

    assert front.count("SendMessage") == 2
