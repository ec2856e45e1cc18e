"""What Celery does with our messages, on any broker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Warning, register

from django_healthkit_ingest.checks.host import readable_settings
from django_healthkit_ingest.queues import lease
from django_healthkit_ingest.sqs.broker import (
    TASKS,
    Delivery,
    broker,
    chosen_by_celery,
    deliveries,
    is_missing,
    our_queues,
    read_by_a_worker,
)

OUR_POLICY = "Remove what changes it from CELERY_TASK_ANNOTATIONS: our tasks carry the right policy themselves."


@register("healthkit_ingest")
def check_delivery(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Without a Celery app in this process there is nothing to look at; W019 says so."""
    if readable_settings() is None or is_missing():
        return []
    return [*lost_messages(), *endless_runs(), *redelivered_runs(), *unread_queues()]


def lost_messages() -> Iterator[CheckMessage]:
    """E009, E010, E011: a message that is deleted before its work is done."""
    tasks = deliveries()
    if early := _names(task for task in tasks if not task.acks_late):
        yield Error(
            f"acks_late is off for {early}: a killed worker loses the messages it has begun.",
            hint=OUR_POLICY,
            id="healthkit_ingest.E009",
        )
    if failed := _names(task for task in tasks if task.deletes_failed):
        yield Error(
            f"acks_on_failure is on for {failed}: a run that fails or is killed deletes its message.",
            hint=OUR_POLICY,
            id="healthkit_ingest.E010",
        )
    if timed_out := _names(task for task in tasks if task.deletes_timed_out):
        yield Error(
            f"acks_on_timeout is on for {timed_out}: a run that the hard time limit ends deletes its message.",
            hint=OUR_POLICY,
            id="healthkit_ingest.E011",
        )


def endless_runs() -> Iterator[CheckMessage]:
    """W006: a lease that a live run outlasts lets a second worker begin the same chunk."""
    seconds = lease().total_seconds()
    if names := _names(task for task in deliveries() if not task.time_limit or task.time_limit > seconds):
        yield Warning(
            f"{names} may run longer than the lease of {seconds:.0f} s.",
            hint="Set CELERY_TASK_TIME_LIMIT (300 is a good value): a lease is 1.1 times that limit. A --time-limit on "
            "the worker's command line cannot be seen here; say it in settings.",
            id="healthkit_ingest.W006",
        )


def redelivered_runs() -> Iterator[CheckMessage]:
    """E016: brokers other than SQS take the visibility timeout from the transport options."""
    told = broker()
    timeout = told.options.get("visibility_timeout")
    if not told.is_sqs and timeout is not None and timeout <= lease().total_seconds():
        yield Error(
            f"The broker's visibility_timeout of {timeout} s is not longer than the lease of "
            f"{lease().total_seconds():.0f} s: a chunk would be given out again while it is worked on.",
            hint="Raise CELERY_BROKER_TRANSPORT_OPTIONS['visibility_timeout'] to twice CELERY_TASK_TIME_LIMIT.",
            id="healthkit_ingest.E016",
        )


def unread_queues() -> Iterator[CheckMessage]:
    """W016: ``QUEUES`` sends where Celery's own settings do not look."""
    chosen = {chosen_by_celery(task) for task in TASKS}
    unread = sorted(our_queues() - read_by_a_worker() - chosen)
    if unread:
        yield Warning(
            f"HEALTHKIT_INGEST['QUEUES'] sends to {', '.join(unread)}, but Celery's settings know only "
            f"{', '.join(sorted(chosen))}: a worker that is started for that would never read our messages.",
            hint="Name the same queue in celery_settings(queue=...) (or CELERY_TASK_DEFAULT_QUEUE) and in QUEUES, and "
            "list a queue of the backfill lane in CELERY_TASK_QUEUES.",
            id="healthkit_ingest.W016",
        )


def _names(tasks: Iterable[Delivery]) -> str:
    return ", ".join(task.name for task in tasks)
