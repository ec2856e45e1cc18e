"""The names of the tasks and the bounded way to send them a message.

Tasks are reached by name through ``current_app.tasks``, which honours the host's eager mode (``send_task`` does not)
and leaves no import from the pipeline to the task module. A message carries ids and a version, never health data.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from celery import current_app
from django.db import connections
from django.utils.crypto import salted_hmac
from kombu.exceptions import KombuError

from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.core.states import Lane

logger = logging.getLogger("django_healthkit_ingest")

DISPATCH_BATCH = "healthkit_ingest.dispatch_batch"
PROCESS_CHUNK = "healthkit_ingest.process_chunk"
SPLIT_UPLOAD = "healthkit_ingest.split_upload"
SWEEP = "healthkit_ingest.sweep"
ERASE = "healthkit_ingest.erase"
EXPORT = "healthkit_ingest.export"

MESSAGE_VERSION = 1
MAX_DELAY = timedelta(seconds=900)
"""SQS refuses a longer ``DelaySeconds``."""

SENDS_GROUPS = tuple(int(part) for part in version("kombu").split(".")[:2]) >= (5, 7)
"""An older kombu takes a ``MessageGroupId`` and drops it, unless the queue is FIFO."""

DEFAULT_TIME_LIMIT = 300
MAX_HANGING_PUBLISHES = 8

_publishing = threading.BoundedSemaphore(MAX_HANGING_PUBLISHES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a broker is given: a task's name and ids; and what decides about its way."""

    name: str
    ids: Mapping[str, Any]
    user_id: Any = None
    lane: str = Lane.LIVE
    delay: timedelta | None = None


_captured: ContextVar[deque[Message] | None] = ContextVar("healthkit_ingest_captured", default=None)


@contextmanager
def captured() -> Iterator[deque[Message]]:
    """Collect messages instead of sending them, so that ``testing.ingest`` can run the road in one process."""
    messages: deque[Message] = deque()
    token = _captured.set(messages)
    try:
        yield messages
    finally:
        _captured.reset(token)


def in_this_context(hook: Callable[[], None]) -> Callable[[], None]:
    """An ``on_commit`` hook that sends where its caller would have, though the commit comes later."""
    return partial(copy_context().run, hook)


def _broker_errors() -> tuple[type[BaseException], ...]:
    errors: tuple[type[BaseException], ...] = (KombuError, OSError)
    if find_spec("botocore") is not None:  # kombu wraps what its transport raises, but lets botocore's own through
        from botocore.exceptions import BotoCoreError, ClientError

        errors += (BotoCoreError, ClientError)
    return errors


def queue_for(name: str, *, lane: str = Lane.LIVE) -> str | None:
    """The queue our settings name for a task; None leaves it to the host's ``CELERY_TASK_ROUTES``.

    ``backfill`` is asked before the task's name, or a host that names its tasks would have no second lane.
    """
    queues = get_settings().queues
    if lane == Lane.BACKFILL and "backfill" in queues:
        return queues["backfill"]
    return queues.get(name, queues.get("default"))


def fairness_group(whose: object) -> str:
    """What SQS shares a queue fairly between: one group for each user, and one for each task that is nobody's.

    A keyed hash, since Amazon shows it to whoever may look at the queue: without ``SECRET_KEY`` it leads to nobody.
    """
    return salted_hmac("django_healthkit_ingest.fairness_group", str(whose), algorithm="sha256").hexdigest()


def lease() -> timedelta:
    """How long a claim lasts: a little above Celery's hard time limit, so that a live worker never loses it."""
    limit = current_app.conf.task_time_limit or DEFAULT_TIME_LIMIT
    return timedelta(seconds=limit * 1.1)


def enqueue(
    name: str, *, user_id: Any = None, lane: str = Lane.LIVE, delay: timedelta | None = None, **ids: Any
) -> bool:
    """Send one message; False when the broker did not take it within ``PUBLISH_TIMEOUT``.

    ``user_id`` is whose work it is and ``lane`` how urgent. Neither is in the message: the user's fairness group is,
    on SQS, and the lane is the choice of a queue.

    The send runs in a thread of its own, because no setting of a host's bounds every broker's hang; a message that
    still gets out later is a repeat, and repeats change nothing. Errors that are not the broker's are raised.
    """
    captured = _captured.get()
    if captured is not None:
        captured.append(Message(name=name, ids=ids, user_id=user_id, lane=lane, delay=delay))
        return True
    if current_app.conf.task_always_eager:
        return _run_here(Message(name=name, ids=ids))
    task = current_app.tasks[name]
    options: dict[str, Any] = {"retry": True, "retry_policy": {"max_retries": 1, "interval_start": 0}}
    queue = queue_for(name, lane=lane)
    if queue is not None:
        options["queue"] = queue
    if SENDS_GROUPS and is_on_sqs():
        options["MessageGroupId"] = fairness_group(name if user_id is None else user_id)
    options.update(_delayed(delay))
    kwargs = _arguments(ids)
    patience = get_settings().publish_timeout
    return _publish(lambda: task.apply_async(kwargs=kwargs, **options), name=name, patience=patience)


def connect(*, patience: timedelta = timedelta(seconds=10)) -> bool:
    """Open the broker connection before the first message needs it; False if that took too long or failed.

    The first send of a process costs boto3's start, the better part of a second, and more on a busy machine;
    ``PUBLISH_TIMEOUT`` is measured for a connection that is open. For web servers' worker start and for commands.
    """

    def open_connection() -> None:
        with current_app.producer_pool.acquire(block=True) as producer:
            connection = producer.connection
            assert connection is not None
            connection.ensure_connection(max_retries=1, timeout=max(1, int(patience.total_seconds())))

    if _captured.get() is not None or current_app.conf.task_always_eager:
        return True  # no message will leave this process
    return _publish(open_connection, name="the first message", patience=patience)


def _arguments(ids: Mapping[str, Any]) -> dict[str, Any]:
    return {**ids, "version": MESSAGE_VERSION}


def _run_here(first: Message) -> bool:
    """A host's eager mode: one task after the other, not one inside the other, or a long chain exhausts the stack."""
    with captured() as messages:
        messages.append(first)
        while messages:
            message = messages.popleft()
            current_app.tasks[message.name].apply_async(kwargs=_arguments(message.ids))
    return True


def is_on_sqs() -> bool:
    return bool(current_app.connection_for_write().transport_cls == "sqs")


def _delayed(delay: timedelta | None) -> dict[str, Any]:
    """On SQS a countdown would sit in a worker's memory against the visibility timeout; its own delay does not."""
    if delay is None:
        return {}
    seconds = int(min(delay, MAX_DELAY - timedelta(seconds=1)).total_seconds())
    if is_on_sqs():
        return {"DelaySeconds": seconds}
    return {"countdown": seconds}


def _publish(send: Callable[[], object], *, name: str, patience: timedelta) -> bool:
    if not _publishing.acquire(blocking=False):
        logger.warning("The broker hangs: %s is left to sweep.", name)
        return False
    outcome: list[BaseException | None] = []

    def run() -> None:
        with _released():
            try:
                send()
            except BaseException as error:  # noqa: BLE001 - carried to the caller's thread and raised there
                outcome.append(error)
            else:
                outcome.append(None)

    thread = threading.Thread(target=run, name="healthkit-ingest-publish", daemon=True)
    thread.start()
    thread.join(patience.total_seconds())
    if not outcome:
        logger.warning("The broker did not answer in time: %s is left to sweep.", name)
        return False
    error = outcome[0]
    if error is None:
        return True
    if isinstance(error, _broker_errors()):
        logger.warning("The broker refused %s (%s): it is left to sweep.", name, type(error).__name__)
        return False
    raise error


@contextmanager
def _released() -> Iterator[None]:
    try:
        yield
    finally:
        connections.close_all()  # a host's publish signal may have opened one in this thread
        _publishing.release()
