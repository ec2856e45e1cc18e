from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.signals import celeryd_after_setup, worker_ready

from django_healthkit_ingest.sqs import guards, heartbeat
from tests.sqs.conftest import StartWorker
from tests.sqs.front import Fault, Front, wait_until

POLL = "ReceiveMessage"
FRESH = 3.0
"""Three times the tests' ``wait_time_seconds``."""


@pytest.fixture
def kombu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The SQS channel; whatever a test does to it and to Celery's signals is undone after it."""
    channel = guards.sqs().Channel
    monkeypatch.setattr(channel, "_loop1", lambda self, queue, messages_fetched=None: "looped")
    for signal in (celeryd_after_setup, worker_ready):
        monkeypatch.setattr(signal, "receivers", [])
    return channel


class Consumer:
    """What ``worker_ready`` is sent by: its application, its timer."""

    def __init__(self, app: Celery) -> None:
        self.app = app
        self.timer = self
        self.timed: list[Any] = []

    def call_repeatedly(self, interval: float, function: Any) -> None:
        self.timed.append(function)


def start(consumer: Consumer) -> None:
    """As far as a worker gets with its signals."""
    app = consumer.app
    celeryd_after_setup.send(sender="worker@host", instance=SimpleNamespace(app=app), conf=app.conf)
    worker_ready.send(sender=consumer)


def is_fresh(file: Path) -> bool:
    seconds = heartbeat.age(file)
    return seconds is not None and seconds <= FRESH


@pytest.mark.acceptance
def test_the_file_goes_stale_when_polls_are_dead_though_timers_live_and_not_when_the_worker_is_busy(
    front: Front, sender: Celery, start_worker: StartWorker, tmp_path: Path
) -> None:
    file, timer, journal = tmp_path / "heartbeat", tmp_path / "timer", tmp_path / "journal"
    environment = {"TEST_WITHOUT_GUARDS": "1", "TEST_HEARTBEAT": str(file), "TEST_TIMER": str(timer)}

    with start_worker(**environment) as worker:
        for _ in range(2):
            sender.send_task("note_and_sleep", [str(journal), FRESH + 1])
        is_busy = wait_until(lambda: journal.exists() and len(journal.read_text().splitlines()) == 2, timeout=10)
        stopped_while_busy = wait_until(lambda: not is_fresh(file), timeout=FRESH + 0.5)
        front.breaks(POLL, Fault.HANG)
        went_stale = wait_until(lambda: not is_fresh(file), timeout=15)

        timer_is_fresh, is_running = is_fresh(timer), worker.is_running
        worker.kill()

        assert is_busy, worker.log
        assert not stopped_while_busy, worker.log
        assert went_stale, worker.log
        assert front.faults(POLL) >= 1
        assert timer_is_fresh
        assert is_running


def test_a_poll_loop_that_comes_round_beats(kombu: Any, tmp_path: Path) -> None:
    beats: list[float] = []
    heartbeat.beat_with_poll(lambda: beats.append(0))

    answer = kombu._loop1(SimpleNamespace(_active_queues=["q"]), "q", 3)

    assert answer == "looped"
    assert len(beats) == 1


def test_one_live_queue_does_not_hide_a_dead_one(kombu: Any) -> None:
    beats: list[float] = []
    heartbeat.beat_with_poll(lambda: beats.append(0))
    channel = SimpleNamespace(_active_queues=["live", "backfill"])
    counts = []

    for queue in ("live", "live", "live", "backfill", "live", "backfill"):
        kombu._loop1(channel, queue)
        counts.append(len(beats))

    assert counts == [0, 0, 0, 1, 1, 2]


@pytest.mark.parametrize(("broker_url", "by_poll", "by_timer"), [("sqs://", True, False), ("memory://", False, True)])
def test_on_sqs_the_poll_loop_beats_and_elsewhere_a_timer(
    kombu: Any, tmp_path: Path, broker_url: str, by_poll: bool, by_timer: bool
) -> None:
    consumer = Consumer(Celery("test", broker=broker_url, set_as_current=False))
    heartbeat.install_in_worker(file=lambda: tmp_path / "heartbeat")

    start(consumer)

    assert heartbeat.beats_with_poll() is by_poll
    assert bool(consumer.timed) is by_timer


def test_a_transport_that_changed_gets_the_timer_and_a_warning(
    kombu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(kombu, "_loop1")
    consumer = Consumer(Celery("test", broker="sqs://", set_as_current=False))
    heartbeat.install_in_worker(file=lambda: tmp_path / "heartbeat")

    start(consumer)

    assert "kombu's SQS transport has changed" in caplog.text
    assert consumer.timed


@pytest.mark.parametrize("broker_url", ["sqs://", "memory://"])
def test_no_file_no_heartbeat(kombu: Any, broker_url: str) -> None:
    consumer = Consumer(Celery("test", broker=broker_url, set_as_current=False))
    heartbeat.install_in_worker(file=lambda: heartbeat.chosen_file(""))

    start(consumer)

    assert not heartbeat.beats_with_poll()
    assert not consumer.timed


def test_the_file_is_touched_at_most_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, file = [0.0], tmp_path / "heartbeat"
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    beat = heartbeat.beating(file)
    touched = []

    for now in (0.0, 0.5, 0.9, 1.1, 1.5, 2.2):
        clock[0] = now
        beat()
        touched.append(file.exists())
        file.unlink(missing_ok=True)

    assert touched == [True, False, False, True, False, True]


def test_a_file_that_cannot_be_written_is_said_once_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.0)
    beat = heartbeat.beating(tmp_path / "missing" / "heartbeat")

    beat()
    beat()

    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize(("seconds_ago", "code"), [(5, 0), (120, 1), (None, 1)])
def test_the_check_tells_by_its_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seconds_ago: int | None, code: int
) -> None:
    file = tmp_path / "heartbeat"
    if seconds_ago is not None:
        file.touch()
        os.utime(file, (time.time() - seconds_ago,) * 2)

    assert heartbeat.main(["--max-age", "90", "--file", str(file)]) == code
    assert "heartbeat" in capsys.readouterr().out


def test_the_check_loads_neither_django_nor_celery() -> None:
    script = (
        "import sys; from django_healthkit_ingest.sqs import heartbeat; heartbeat.main(['--file', 'missing']);"
        "print([name for name in ('django', 'celery', 'kombu', 'boto3') if name in sys.modules])"
    )

    answer = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)

    assert answer.stdout.splitlines()[-1] == "[]"
