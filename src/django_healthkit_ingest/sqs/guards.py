"""Repairs of four defects of kombu's SQS transport that kill or stall a worker.

Each guard first looks whether the defect is there, by doing what fails, and touches nothing but the SQS transport:

- ``empty_answer`` (kombu 5.7.0): a 5xx answer or a lost connection is handed on as an empty list where a dict is
  expected. The worker dies, or lives on without ever polling again.
- ``poll_timeout`` (5.6.2, 5.7.0): the long poll has no timeout. An answer that never comes stalls the worker for ever.
- ``requeue_with_backoff`` (5.6.2, 5.7.0): on a queue with a ``backoff_policy`` a requeued message (killed child, hard
  time limit, ``Reject(requeue=True)``) kills the worker.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial, wraps
from importlib import import_module
from io import BytesIO
from types import SimpleNamespace
from typing import Any

from celery.signals import celeryd_after_setup

logger = logging.getLogger("django_healthkit_ingest")

POLL_MARGIN = 10.0
"""Seconds the answer to a long poll may come later than ``wait_time_seconds``."""

STALE = frozenset({"InvalidParameterValue", "MessageNotInflight", "ReceiptHandleIsInvalid"})
"""What SQS answers about a receipt handle that no longer counts; kombu forgives the first and the last of them when it
deletes, and dies of each when it gives back."""


def install_in_worker(*, enabled: Callable[[], bool] = lambda: True, poll_margin: float = POLL_MARGIN) -> None:
    """Install the guards if this process becomes a Celery worker on SQS; no other process imports the transport.

    ``enabled`` is asked then, and not before: settings are read when they are needed.
    """

    def install_on_sqs(*, instance: Any, **kwargs: object) -> None:
        if instance.app.connection_for_read().get_transport_cls().driver_type == "sqs":
            install(enabled=enabled(), poll_margin=poll_margin)

    # The first signal after logging is set up, and before the first poll.
    celeryd_after_setup.connect(install_on_sqs, weak=False, dispatch_uid="django_healthkit_ingest.sqs.guards")


def install(*, enabled: bool = True, poll_margin: float = POLL_MARGIN) -> tuple[str, ...]:
    """Install the guards this version of kombu needs; the names of those that this call installed. Idempotent."""
    if not enabled:
        return ()
    guards = (
        ("empty_answer", fails_on_empty_answer, tolerate_empty_answer),
        ("poll_timeout", polls_without_timeout, partial(limit_poll, margin=poll_margin)),
        ("requeue_with_backoff", fails_on_requeue_with_backoff, requeue_without_backoff),
        ("failed_requeue", keeps_slot_of_failed_requeue, release_slot_of_failed_requeue),
    )
    installed = []
    for name, is_needed, repair in guards:
        try:
            needed = is_needed()
        except (AttributeError, TypeError) as change:
            logger.warning("Guard %s not installed: kombu's SQS transport has changed (%s).", name, change)
            continue
        if needed:
            repair()
            installed.append(name)
            logger.info("Guard %s installed on kombu's SQS transport.", name)
    return tuple(installed)


def fails_on_empty_answer() -> bool:
    try:
        sqs().Channel._on_messages_ready(SimpleNamespace(), "", "", [])
    except AttributeError:
        return True
    return False


def tolerate_empty_answer() -> None:
    original = sqs().Channel._on_messages_ready

    @wraps(original)
    def _on_messages_ready(self: Any, queue: str, qname: str, messages: Any) -> Any:
        return original(self, queue, qname, messages) if isinstance(messages, dict) else 0

    sqs().Channel._on_messages_ready = _on_messages_ready


def polls_without_timeout() -> bool:
    if hasattr(sqs().Channel.asynsqs, "poll_margin"):
        return False
    pycurl = import_module("pycurl")
    http = import_module("kombu.asynchronous.http.base")
    curl_client: Any = import_module("kombu.asynchronous.http.curl").CurlClient
    options: set[int] = set()
    handle = SimpleNamespace(setopt=lambda option, value: options.add(option), unsetopt=options.discard)
    client = SimpleNamespace(on_header=lambda headers, line: None)
    curl_client._setup_request(client, handle, http.Request("http://127.0.0.1/"), BytesIO(), http.Headers())
    return options.isdisjoint({pycurl.TIMEOUT, pycurl.TIMEOUT_MS})


def limit_poll(*, margin: float) -> None:
    """A poll cut off comes back as status 599, which kombu takes for an empty answer, and the next poll follows."""
    pycurl = import_module("pycurl")
    connection_class: Any = import_module("kombu.asynchronous.aws.connection").AsyncHTTPSConnection
    limits = (pycurl.NOSIGNAL, pycurl.CONNECTTIMEOUT_MS, pycurl.TIMEOUT_MS)

    class LimitedConnection(connection_class):  # type: ignore[misc]
        def getrequest(self) -> Any:
            request = super().getrequest()
            handles: list[Any] = []

            def limit(handle: Any) -> None:
                handles.append(handle)
                for option, value in zip(limits, (1, int(margin * 1000), int(self.timeout * 1000)), strict=True):
                    handle.setopt(option, value)

            def lift(response: Any) -> None:
                # The handles are shared with kombu's other HTTP requests, and the next one may get this very handle.
                for handle in handles:
                    for option in limits:
                        handle.setopt(option, 0)

            request.on_prepare = limit
            request.then(lift)
            return request

    original = sqs().Channel.asynsqs

    @wraps(original)
    def asynsqs(self: Any, queue: str | None = None) -> Any:
        connection = original(self, queue)
        connection.get_http_connection = partial(
            LimitedConnection, http_client=connection._httpclient, timeout=self.wait_time_seconds + margin
        )
        return connection

    vars(asynsqs)["poll_margin"] = margin
    sqs().Channel.asynsqs = asynsqs


def fails_on_requeue_with_backoff() -> bool:
    delivery_info = {"routing_key": "queue", "sqs_message": {"Attributes": {"ApproximateReceiveCount": "1"}}}
    message = SimpleNamespace(
        headers={"task": "task"}, delivery_info=delivery_info, properties={"delivery_info": delivery_info}
    )
    qos = sqs().QoS.__new__(sqs().QoS)  # its __init__ registers an exit handler
    qos._delivered = {"tag": message}
    qos._quick_ack = lambda tag: None
    qos.channel = SimpleNamespace(
        predefined_queues={"queue": {"backoff_tasks": ["another"], "backoff_policy": {1: 1}}},
        _queue_cache={"queue": ""},
        _restore_at_beginning=lambda message: message.delivery_info.pop("sqs_message"),
    )
    try:
        qos.reject("tag", requeue=True)
    except KeyError:
        return True
    return False


def requeue_without_backoff() -> None:
    """Requeueing has set the message's visibility already, so there is nothing for the policy to do."""
    plain = import_module("kombu.transport.virtual").QoS
    original = sqs().QoS.reject

    @wraps(original)
    def reject(self: Any, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 (kombu's signature)
        if requeue:
            plain.reject(self, delivery_tag, requeue=True)
        else:
            original(self, delivery_tag, requeue=False)

    sqs().QoS.reject = reject


def keeps_slot_of_failed_requeue() -> bool:
    def restore(message: object) -> None:
        raise ConnectionError

    released: set[str] = set()
    qos = sqs().QoS.__new__(sqs().QoS)
    qos._delivered = {"tag": SimpleNamespace()}
    qos._quick_ack = released.add
    qos.channel = SimpleNamespace(_restore_at_beginning=restore)
    with suppress(ConnectionError):
        qos.reject("tag", requeue=True)
    return "tag" not in released


def release_slot_of_failed_requeue() -> None:
    """As kombu does where an acknowledgement fails. The message comes back when its visibility timeout is over."""
    original = sqs().QoS.reject

    @wraps(original)
    def reject(self: Any, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 (kombu's signature)
        try:
            original(self, delivery_tag, requeue=requeue)
        except Exception as error:
            self._quick_ack(delivery_tag)
            if not is_stale(error):
                raise

    sqs().QoS.reject = reject


def is_stale(error: Exception) -> bool:
    """Whether SQS says that it has given the message to somebody else since, or deleted it: nothing is to be done."""
    response: Any = getattr(error, "response", None) or {}
    code = response.get("Error", {}).get("Code", "")
    return str(code).rpartition(".")[2] in STALE


def sqs() -> Any:
    """kombu's transport, imported by the first call: it brings boto3 and libcurl into the process."""
    return import_module("kombu.transport.SQS")
