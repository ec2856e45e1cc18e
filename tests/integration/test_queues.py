"""Sending a message is bounded, carries ids only, and obeys the host's routing where ours is silent."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery, current_app
from kombu.exceptions import OperationalError

from django_healthkit_ingest import queues
from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import database
from django_healthkit_ingest.pipeline.accept import accept
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import quantity

NAME = queues.PROCESS_CHUNK


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Replace the wire, not our code: what Celery's own task would have sent."""

    def replace(behaviour: Any, name: str = NAME) -> list[dict[str, Any]]:
        seen: list[dict[str, Any]] = []

        def apply_async(**options: Any) -> None:
            seen.append(options)
            behaviour()

        monkeypatch.setattr(current_app.tasks[name], "apply_async", apply_async)
        return seen

    return replace


def test_a_message_carries_ids_and_a_version(publish: Any) -> None:
    seen = publish(lambda: None)

    assert queues.enqueue(NAME, chunk_id=7) is True

    assert seen[0]["kwargs"] == {"chunk_id": 7, "version": queues.MESSAGE_VERSION}
    assert seen[0]["queue"] == "apple-health-imports"


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        ({}, None),
        ({"default": "d"}, "d"),
        ({"default": "d", NAME: "mine"}, "mine"),
        ({"healthkit_ingest.sweep": "elsewhere"}, None),
    ],
)
def test_our_routing_is_by_name_then_default_then_the_hosts(settings: Any, ours: Any, expected: str | None) -> None:
    settings.HEALTHKIT_INGEST = {"QUEUES": ours}

    assert queues.queue_for(NAME) == expected


def test_a_broker_that_refuses_is_not_an_error(publish: Any, caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> None:
        raise OperationalError("secret-host refused")

    publish(refuse)

    assert queues.enqueue(NAME, chunk_id=7) is False
    assert "OperationalError" in caplog.text
    assert "secret-host" not in caplog.text


def test_a_broker_that_hangs_is_waited_for_no_longer_than_asked(publish: Any, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"PUBLISH_TIMEOUT": timedelta(milliseconds=50)}
    answered = threading.Event()
    publish(lambda: answered.wait(30))

    started = time.monotonic()
    results = [queues.enqueue(NAME, chunk_id=number) for number in range(queues.MAX_HANGING_PUBLISHES + 2)]
    elapsed = time.monotonic() - started
    hanging = [thread for thread in threading.enumerate() if thread.name == "healthkit-ingest-publish"]
    answered.set()
    for thread in hanging:
        thread.join(5)

    assert not any(results)
    assert elapsed < 15, "the broker's 30 s would show"
    assert len(hanging) == queues.MAX_HANGING_PUBLISHES, "a hanging broker must not collect threads without end"


def test_a_programming_error_is_not_swallowed(publish: Any) -> None:
    def explode() -> None:
        raise ZeroDivisionError

    publish(explode)

    with pytest.raises(ZeroDivisionError):
        queues.enqueue(NAME, chunk_id=7)


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_an_eager_host_sees_a_long_backfill_through(user: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 1}
    monkeypatch.setitem(current_app.conf, "task_always_eager", True)
    monkeypatch.setitem(current_app.conf, "task_eager_propagates", True)

    batch = accept(healthkit_body(*(quantity() for _ in range(150))), user=user)

    batch.refresh_from_db()
    assert (batch.status, batch.inserted) == (Status.COMPLETED, 150)


@pytest.mark.django_db(databases="__all__")
def test_ingest_sends_nothing_even_where_a_test_runs_on_commit_hooks(
    user: Any, publish: Any, django_capture_on_commit_callbacks: Any
) -> None:
    seen = publish(lambda: None, queues.DISPATCH_BATCH)

    with django_capture_on_commit_callbacks(using=database(), execute=True):
        ingest(healthkit_body(quantity()), user=user)

    assert seen == []


@pytest.mark.parametrize(("broker", "expected"), [("sqs://", {"DelaySeconds": 60}), ("memory://", {"countdown": 60})])
def test_a_delay_is_the_queues_own_on_sqs(
    publish: Any, monkeypatch: pytest.MonkeyPatch, broker: str, expected: dict[str, int]
) -> None:
    seen = publish(lambda: None)
    monkeypatch.setitem(current_app.conf, "broker_url", broker)
    monkeypatch.setitem(current_app.conf, "broker_write_url", broker)

    queues.enqueue(NAME, delay=timedelta(minutes=1), chunk_id=7)

    assert {key: seen[0][key] for key in expected} == expected


def test_no_delay_is_longer_than_sqs_allows(publish: Any) -> None:
    seen = publish(lambda: None)

    queues.enqueue(NAME, delay=timedelta(days=1), chunk_id=7)

    assert seen[0].get("countdown", seen[0].get("DelaySeconds")) < 900


def test_a_lease_outlives_the_hard_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(current_app.conf, "task_time_limit", 100)

    assert timedelta(seconds=100) < queues.lease() <= timedelta(seconds=120)


def test_connecting_first_is_bounded_and_tells_whether_it_worked(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Celery(broker="memory://", set_as_current=False)
    monkeypatch.setattr(queues, "current_app", app)
    reached = queues.connect()
    released = threading.Event()
    monkeypatch.setattr(app.producer_pool, "acquire", lambda **options: released.wait(30))

    hanging = queues.connect(patience=timedelta(milliseconds=20))
    released.set()

    assert (reached, hanging) == (True, False)
