from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.signals import celeryd_after_setup
from kombu.asynchronous import Hub, set_event_loop
from kombu.asynchronous.http.base import Request
from kombu.asynchronous.http.curl import CurlClient
from vine import promise

from django_healthkit_ingest.sqs import guards
from example_project.services.queues import Queue, message_count, sqs_client
from example_project.services.sqs import SQS
from tests.sqs.app import QUEUE
from tests.sqs.conftest import StartWorker
from tests.sqs.front import Fault, Front, wait_until

POLL = "ReceiveMessage"
PATCHED = (
    (guards.sqs().Channel, "_on_messages_ready"),
    (guards.sqs().Channel, "asynsqs"),
    (guards.sqs().QoS, "reject"),
)


@pytest.fixture
def kombu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test does to kombu's SQS transport is undone after it."""
    for owner, name in PATCHED:
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setattr(celeryd_after_setup, "receivers", [])


def runs(journal: Path) -> int:
    return len(journal.read_text().splitlines()) if journal.exists() else 0


@pytest.mark.acceptance
@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.RESET, Fault.HANG])
def test_worker_goes_on_after_a_poll_that_failed(
    front: Front, sender: Celery, start_worker: StartWorker, tmp_path: Path, fault: Fault
) -> None:
    with start_worker() as worker:
        front.breaks(POLL, fault, times=2)
        went_on_polling = wait_until(lambda: front.faults(POLL) == 2, timeout=10)
        sender.send_task("note", [str(tmp_path / "journal")])

        ran = wait_until(lambda: runs(tmp_path / "journal") == 1, timeout=10)

        assert went_on_polling, worker.log
        assert worker.is_running, worker.log
        assert ran, worker.log


@pytest.mark.acceptance
def test_worker_goes_on_after_sqs_was_away(
    front: Front, sender: Celery, start_worker: StartWorker, tmp_path: Path
) -> None:
    with start_worker() as worker:
        with front.refusing():
            died = wait_until(lambda: not worker.is_running, timeout=3)
        sender.send_task("note", [str(tmp_path / "journal")])

        ran = wait_until(lambda: runs(tmp_path / "journal") == 1, timeout=10)

        assert not died, worker.log
        assert ran, worker.log


@pytest.mark.acceptance
def test_requeueing_on_a_queue_with_backoff_leaves_the_worker_alive(
    emulator: SQS, queue: Queue, sender: Celery, start_worker: StartWorker, tmp_path: Path
) -> None:
    with start_worker(TEST_BACKOFF="1") as worker:
        sender.send_task("requeue", [str(tmp_path / "requeued")])
        sender.send_task("fail", [str(tmp_path / "failed")])

        both_died = wait_until(lambda: message_count(emulator, url=queue.dead_letter_url) == 2, timeout=20)

        assert worker.is_running, worker.log
        assert both_died, worker.log
        assert (runs(tmp_path / "requeued"), runs(tmp_path / "failed")) == (3, 3)


@pytest.mark.filterwarnings("ignore:(IOCTLFUNCTION|socket_all) is deprecated:DeprecationWarning")
def test_limit_is_for_the_poll_and_not_for_other_requests_on_the_same_handle(
    kombu: None, front: Front, queue: Queue, sender: Celery
) -> None:
    limit, patience = 1.2, 1.5  # the sender's wait_time_seconds is 1
    front.breaks(POLL, Fault.HANG)
    front.breaks("?", Fault.HANG)
    hub: Any = Hub()
    set_event_loop(hub)
    hub._current_http_client = CurlClient(hub, max_clients=1)
    guards.install(poll_margin=limit - 1)
    answers: list[object] = []
    other = Request(front.url, method="POST", body="slow")

    try:
        channel: Any = sender.connection_for_read().channel()
        channel.asynsqs(QUEUE).receive_message(QUEUE, queue.url, wait_time_seconds=1, callback=promise(answers.append))
        run(hub, seconds=limit + patience, until=answers)
        hub._current_http_client.add_request(other)
        run(hub, seconds=limit + patience, until=[])
    finally:
        hub.close()
        set_event_loop(None)

    assert answers == [[]]
    assert front.faults("?") == 1
    assert not other.on_ready.ready


def run(hub: Hub, *, seconds: float, until: list[object]) -> None:
    deadline = time.monotonic() + seconds
    while not until and time.monotonic() < deadline:
        hub.run_once()


def test_a_message_that_could_not_be_given_back_leaves_its_slot(kombu: None, front: Front, sender: Celery) -> None:
    guards.install()
    sender.send_task("note", ["nowhere"])
    channel: Any = sender.connection_for_read().channel()
    channel.basic_qos(0, 1, False)
    message = channel.basic_get(QUEUE)
    assert not channel.qos.can_consume()
    front.breaks("ChangeMessageVisibility", Fault.RESET)

    with pytest.raises(sender.connection().connection_errors):
        channel.basic_reject(message.delivery_tag, requeue=True)

    assert front.faults("ChangeMessageVisibility") > 0
    assert channel.qos.can_consume()


def test_a_message_that_is_gone_need_not_be_given_back(
    kombu: None, emulator: SQS, queue: Queue, front: Front, sender: Celery
) -> None:
    guards.install()
    sender.send_task("note", ["nowhere"])
    channel: Any = sender.connection_for_read().channel()
    channel.basic_qos(0, 1, False)
    message = channel.basic_get(QUEUE)
    sqs_client(emulator).delete_message(QueueUrl=queue.url, ReceiptHandle=message.delivery_tag)

    channel.basic_reject(message.delivery_tag, requeue=True)

    assert front.count("ChangeMessageVisibility") == 1
    assert channel.qos.can_consume()


def test_guards_are_installed_and_logged_once(kombu: None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="django_healthkit_ingest")

    first, second = guards.install(), guards.install()

    assert "poll_timeout" in first
    assert second == ()
    assert [record.getMessage() for record in caplog.records] == [
        f"Guard {name} installed on kombu's SQS transport." for name in first
    ]


def test_guards_can_be_refused(kombu: None) -> None:
    before = [getattr(owner, name) for owner, name in PATCHED]

    assert guards.install(enabled=False) == ()

    assert [getattr(owner, name) for owner, name in PATCHED] == before


@pytest.mark.parametrize(
    ("broker_url", "is_wanted", "is_guarded"),
    [("sqs://", True, True), ("sqs://", False, False), ("memory://", True, False)],
)
def test_a_worker_on_sqs_is_guarded_unless_refused(
    kombu: None, broker_url: str, is_wanted: bool, is_guarded: bool
) -> None:
    app = Celery("test", broker=broker_url, set_as_current=False)
    guards.install_in_worker(enabled=lambda: is_wanted)

    celeryd_after_setup.send(sender="worker@host", instance=SimpleNamespace(app=app), conf=app.conf)

    assert hasattr(guards.sqs().Channel.asynsqs, "poll_margin") is is_guarded


def test_a_transport_that_needs_no_guard_gets_none(kombu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards.sqs().Channel, "_on_messages_ready", lambda self, queue, qname, messages: 0)

    assert "empty_answer" not in guards.install()


def test_a_transport_that_changed_is_left_alone(
    kombu: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(guards.sqs().Channel, "_on_messages_ready", lambda self: 0)

    installed = guards.install()

    assert "empty_answer" not in installed
    assert "Guard empty_answer not installed" in caplog.text


def test_the_transport_is_not_imported_before_a_worker_needs_it() -> None:
    script = (
        "import sys; from django_healthkit_ingest.sqs import guards; guards.install_in_worker();"
        "print([name for name in ('kombu.transport.SQS', 'boto3', 'pycurl') if name in sys.modules])"
    )

    answer = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)

    assert answer.stdout.strip() == "[]"
