"""What the host has told Celery and kombu, as far as the delivery of our messages hangs on it. Nothing is connected to.

The broker's URL is read and not asked of kombu, which would import boto3 for it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from celery import Task, current_app

from django_healthkit_ingest.core.states import Lane
from django_healthkit_ingest.queues import (
    DEFAULT_TIME_LIMIT,
    DISPATCH_BATCH,
    ERASE,
    EXPORT,
    PROCESS_CHUNK,
    SPLIT_UPLOAD,
    SWEEP,
    queue_for,
)

TASKS = (DISPATCH_BATCH, PROCESS_CHUNK, SPLIT_UPLOAD, SWEEP, ERASE, EXPORT)
WAIT_TIME = 10
"""kombu's ``wait_time_seconds`` where the transport options are silent."""

POLLING_INTERVAL = 1.0
"""kombu's ``polling_interval``, in seconds, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    transport: str
    """kombu's name: ``sqs``, ``redis``, ``memory``."""
    host: str
    options: Mapping[str, Any] = field(repr=False)

    @property
    def is_sqs(self) -> bool:
        return self.transport == "sqs"

    @property
    def predefined(self) -> Mapping[str, Mapping[str, Any]]:
        return self.options.get("predefined_queues") or {}

    @property
    def wait_time(self) -> float:
        return float(self.options.get("wait_time_seconds", WAIT_TIME))

    @property
    def polling_interval(self) -> float:
        return float(self.options.get("polling_interval", POLLING_INTERVAL))


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What becomes of the message of one task of ours."""

    name: str
    acks_late: bool
    deletes_failed: bool
    deletes_timed_out: bool
    requeues: bool
    keeps_results: bool
    time_limit: float | None
    """Seconds; None for none."""


def broker() -> Broker:
    conf = current_app.conf
    url: Any = conf.broker_write_url or conf.broker_url or "amqp://"
    first = url if isinstance(url, str) else next(iter(url))
    parts = urlsplit(first.partition(";")[0])
    return Broker(
        transport=(conf.broker_transport or parts.scheme).lower().partition("+")[0],
        host=parts.hostname or "",
        options=conf.broker_transport_options or {},
    )


def deliveries() -> list[Delivery]:
    """As the tasks are in this process, the host's ``CELERY_TASK_ANNOTATIONS`` laid over them."""
    return [_delivery(current_app.tasks[name]) for name in TASKS]


def our_queues() -> frozenset[str]:
    """Where our messages go: by ``QUEUES``, and where it is silent by the host's ``CELERY_TASK_ROUTES``."""
    return frozenset(queue_for(task, lane=lane) or chosen_by_celery(task) for task in TASKS for lane in Lane)


def chosen_by_celery(task: str) -> str:
    """The queue that a task would go to if ``QUEUES`` were silent."""
    # Not router.route(): that adds a queue it does not know to those a worker reads.
    route: Any = current_app.amqp.router.lookup_route(task, (), {}, {}, None) or {}
    queue = route if isinstance(route, str) else route.get("queue")
    return str(getattr(queue, "name", queue) or current_app.conf.task_default_queue)


def read_by_a_worker() -> frozenset[str]:
    """The queues of a worker that is started without ``--queues``."""
    declared = current_app.conf.task_queues
    if not declared:
        return frozenset({current_app.conf.task_default_queue})
    return frozenset(getattr(queue, "name", queue) for queue in declared)


def is_shared() -> bool:
    """Whether the host's Celery has other work too, in which case not all of its settings are about us."""
    return current_app.conf.task_default_queue not in our_queues()


def is_missing() -> bool:
    """Whether nobody has made a Celery app in this process, or too late: Celery then makes up one of its own.

    Asked in another thread, where messages are sent and requests answered: an app may be the current one of its own
    thread only.
    """
    seen: list[str] = []
    thread = threading.Thread(target=lambda: seen.append(current_app.main), name="healthkit-ingest-app")
    thread.start()
    thread.join()
    return seen == ["default"]


def celery_option(name: str) -> Any:
    return getattr(current_app.conf, name, None)


def registered() -> frozenset[str]:
    """The names of all tasks of this process."""
    return frozenset(current_app.tasks)


def hard_time_limit() -> float:
    """Seconds; Celery's, or what a lease assumes without one."""
    return float(current_app.conf.task_time_limit or DEFAULT_TIME_LIMIT)


def kombu_version() -> tuple[int, int]:
    major, minor, *_ = version("kombu").split(".")
    return int(major), int(minor)


def _delivery(task: Any) -> Delivery:
    conf = current_app.conf
    if hasattr(Task, "acks_on_failure"):
        deletes_failed, deletes_timed_out = task.acks_on_failure, task.acks_on_timeout
    else:  # Celery 5.6 has one name for both
        deletes_failed = deletes_timed_out = task.acks_on_failure_or_timeout
    return Delivery(
        name=task.name,
        acks_late=bool(task.acks_late),
        deletes_failed=bool(deletes_failed),
        deletes_timed_out=bool(deletes_timed_out),
        requeues=bool(task.reject_on_worker_lost),
        keeps_results=not task.ignore_result or bool(task.store_errors_even_if_ignored),
        time_limit=task.time_limit or conf.task_time_limit,
    )
