"""What kombu's SQS transport has been told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from django_healthkit_ingest.checks.host import readable_settings
from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.queues import lease
from django_healthkit_ingest.sqs import guards
from django_healthkit_ingest.sqs.broker import (
    Broker,
    broker,
    celery_option,
    is_missing,
    is_shared,
    kombu_version,
    our_queues,
    registered,
)
from django_healthkit_ingest.sqs.infrastructure import visibility_timeout
from django_healthkit_ingest.sqs.transport import LOOPBACK

OPTIONS = "CELERY_BROKER_TRANSPORT_OPTIONS"
MAX_VISIBILITY = 43200
"""Seconds; SQS refuses more."""


@register("healthkit_ingest")
def check_transport(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if readable_settings() is None or is_missing():
        return []
    told = broker()
    if not told.is_sqs:
        return []
    if find_spec("boto3") is None or find_spec("pycurl") is None:
        return [
            Error(
                "The broker is SQS, but what kombu needs for it is not installed.",
                hint='Run: pip install "django-healthkit-ingest[sqs]".',
                id="healthkit_ingest.E017",
            )
        ]
    return [*errors(told), *warnings(told)]


def errors(told: Broker) -> Iterator[CheckMessage]:
    yield from reached_in_the_open(told)
    yield from undeclared_queues(told)
    yield from backoff(told)
    yield from unguarded(told)


def warnings(told: Broker) -> Iterator[CheckMessage]:
    yield from options_without_effect(told)
    yield from slow_or_hanging(told)
    yield from clocks()
    if not is_shared():  # what is meant for the whole worker may be right for the host's other tasks
        yield from worker_wide()


def reached_in_the_open(told: Broker) -> Iterator[CheckMessage]:
    if told.host and told.host not in LOOPBACK and not told.options.get("is_secure") and not settings.DEBUG:
        yield Error(
            "The broker's sqs:// URL has a host: kombu sends everything to it unencrypted.",
            hint=f"Use 'sqs://' (the queue's URL says the rest), or set is_secure in {OPTIONS}.",
            id="healthkit_ingest.E005",
        )


def undeclared_queues(told: Broker) -> Iterator[CheckMessage]:
    if not told.predefined:
        if not settings.DEBUG:
            yield Error(
                f"{OPTIONS} has no predefined_queues: every process would list and create queues.",
                hint="Use celery_settings(queue_url=...), which says where the queue is.",
                id="healthkit_ingest.E006",
            )
        return
    if told.options.get("queue_name_prefix"):
        yield Error(
            "queue_name_prefix and predefined_queues exclude each other: kombu looks for the prefixed name.",
            hint=f"Remove queue_name_prefix from {OPTIONS}; the queue's URL may hold any prefix.",
            id="healthkit_ingest.E008",
        )
    if missing := sorted(our_queues() - set(told.predefined)):
        yield Error(
            f"HEALTHKIT_INGEST['QUEUES'] sends to {', '.join(missing)}, which predefined_queues lacks: no message "
            "would get out.",
            hint="Give the queue the same name in celery_settings(queue=...) and in QUEUES, and add the others to "
            f"predefined_queues in {OPTIONS}.",
            id="healthkit_ingest.E007",
        )


def backoff(told: Broker) -> Iterator[CheckMessage]:
    for name, queue in _with_backoff(told).items():
        waits = queue["backoff_policy"]
        unusable = [key for key, value in waits.items() if not _is_int(key) or not 0 <= value <= MAX_VISIBILITY]
        strangers = sorted(set(queue.get("backoff_tasks") or ()) - registered())
        if unusable or strangers:
            yield Error(
                f"The backoff_policy of {name} has no effect as it is: "
                + (f"no task is called {', '.join(strangers)}." if strangers else "its keys or seconds are wrong."),
                hint="Its keys must be whole numbers (not text), its values seconds up to 43200, and backoff_tasks "
                "full task names.",
                id="healthkit_ingest.E012",
            )


def unguarded(told: Broker) -> Iterator[CheckMessage]:
    """Asked of kombu itself, and only where the host has turned the guards off: it costs boto3's import."""
    if get_settings().sqs_guards:
        return
    hint = "Set HEALTHKIT_INGEST['SQS_GUARDS'] to True, or install a kombu that has mended it."
    if guards.fails_on_empty_answer() or guards.polls_without_timeout():
        yield Error(
            "This kombu's poll dies of one 503, or hangs for ever, and SQS_GUARDS is off.",
            hint=hint,
            id="healthkit_ingest.E013",
        )
    if _with_backoff(told) and guards.fails_on_requeue_with_backoff():
        yield Error(
            "A queue has a backoff_policy and SQS_GUARDS is off: the first killed or timed-out run ends the worker.",
            hint=f"{hint} Or remove the backoff_policy.",
            id="healthkit_ingest.E014",
        )


def options_without_effect(told: Broker) -> Iterator[CheckMessage]:
    if told.predefined and "visibility_timeout" in told.options:
        yield Warning(
            "visibility_timeout in the transport options does nothing for predefined queues.",
            hint="Remove it; VisibilityTimeout is an attribute of the queue (manage.py healthkit_ingest_queue).",
            id="healthkit_ingest.W005",
        )
    if told.options.get("sts_role_arn"):
        yield Warning(
            "sts_role_arn is set: kombu's own role sessions expire under a running worker.",
            hint="Remove it and give the container a task role; boto3 finds and renews its keys.",
            id="healthkit_ingest.W012",
        )
    if celery_option("worker_disable_prefetch"):
        yield Warning(
            "CELERY_WORKER_DISABLE_PREFETCH does nothing on SQS.",
            hint="Remove it and set CELERY_WORKER_PREFETCH_MULTIPLIER to 1.",
            id="healthkit_ingest.W014",
        )


def slow_or_hanging(told: Broker) -> Iterator[CheckMessage]:
    if told.polling_interval >= 1 and kombu_version() >= (5, 7):
        rate = (celery_option("worker_prefetch_multiplier") or 1) / told.polling_interval
        yield Warning(
            f"polling_interval is {told.polling_interval:g} s: kombu waits that long whenever a worker is busy, which "
            f"allows {rate:.2g} tasks a second for each process.",
            hint=f"Set polling_interval to 0.02 in {OPTIONS}.",
            id="healthkit_ingest.W004",
        )
    client = told.options.get("client-config") or {}
    if not {"connect_timeout", "read_timeout"} <= set(client):
        yield Warning(
            "The SQS client has no timeouts of its own: a send that is never answered hangs for minutes.",
            hint=f"Set connect_timeout, read_timeout and retries under 'client-config' in {OPTIONS}.",
            id="healthkit_ingest.W009",
        )
    if not 1 <= told.wait_time <= 20:
        yield Warning(
            f"wait_time_seconds is {told.wait_time:g}; SQS waits from 1 to 20 seconds for a message.",
            hint=f"Set it to 10 in {OPTIONS}; 0 pays for empty answers and hides messages that a worker gives back.",
            id="healthkit_ingest.W015",
        )


def clocks() -> Iterator[CheckMessage]:
    stale_after = get_settings().stale_after
    if lease() < stale_after and stale_after.total_seconds() <= visibility_timeout():
        yield Warning(
            f"STALE_AFTER is not longer than the visibility timeout of {visibility_timeout()} s that goes with the "
            "time limit: sweep would re-send messages that SQS is about to give out again.",
            hint="Raise HEALTHKIT_INGEST['STALE_AFTER'], or lower CELERY_TASK_TIME_LIMIT.",
            id="healthkit_ingest.W018",
        )


def worker_wide() -> Iterator[CheckMessage]:
    multiplier = celery_option("worker_prefetch_multiplier")
    if multiplier != 1:
        yield Warning(
            f"worker_prefetch_multiplier is {multiplier}: chunks wait in one worker's memory while others are idle.",
            hint="Set CELERY_WORKER_PREFETCH_MULTIPLIER to 1.",
            id="healthkit_ingest.W003",
        )
    backend = celery_option("result_backend")
    if backend and backend != "disabled://":
        yield Warning(
            "A result backend is set. Our tasks answer nothing; errors' texts of other tasks would be kept there.",
            hint="Set CELERY_RESULT_BACKEND to None: the batch's row is the result.",
            id="healthkit_ingest.W007",
        )
    if celery_option("worker_enable_remote_control") or celery_option("worker_send_task_events"):
        yield Warning(
            "Remote control or task events are on; SQS cannot carry them.",
            hint="Set CELERY_WORKER_ENABLE_REMOTE_CONTROL and CELERY_WORKER_SEND_TASK_EVENTS to False.",
            id="healthkit_ingest.W008",
        )


def _with_backoff(told: Broker) -> Mapping[str, Mapping[str, Any]]:
    return {name: queue for name, queue in told.predefined.items() if queue.get("backoff_policy")}


def _is_int(key: object) -> bool:
    return isinstance(key, int) and not isinstance(key, bool)
