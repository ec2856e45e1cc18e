"""A Celery application without Django on ``celery_settings``, for the worker and the sender of the SQS tests."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from celery import Celery
from celery.exceptions import Reject

from django_healthkit_ingest.sqs.celery_settings import celery_settings

QUEUE = "apple-health-imports"


def build(environment: Mapping[str, str]) -> Celery:
    queue: dict[str, object] = {"url": environment["TEST_QUEUE_URL"]}
    if "TEST_BACKOFF" in environment:
        queue |= {"backoff_policy": dict.fromkeys(range(1, 6), 1), "backoff_tasks": ["fail"]}
    limits: dict[str, Any] = {}
    if "TEST_TIME_LIMIT" in environment:  # without the soft one, which would be an exception like any other
        limits = {
            "CELERY_TASK_TIME_LIMIT": float(environment["TEST_TIME_LIMIT"]),
            "CELERY_TASK_SOFT_TIME_LIMIT": None,
        }
    app = Celery("tests.sqs.app", set_as_current=False)
    app.config_from_object(
        celery_settings(
            queue=QUEUE,
            region=environment["AWS_REGION"],
            CELERY_BROKER_TRANSPORT_OPTIONS={
                "predefined_queues": {QUEUE: queue},
                "wait_time_seconds": 1,
                "polling_interval": 0.1,
            },
            **limits,
        ),
        namespace="CELERY",
    )
    for task in (note, note_and_sleep, fail, requeue):
        app.task(name=task.__name__)(task)
    return app


def note(path: str) -> None:
    """Leaves a line with this process's id."""
    with Path(path).open("a") as journal:
        journal.write(f"{os.getpid()}\n")


def note_and_sleep(path: str, seconds: float) -> None:
    note(path)
    time.sleep(seconds)


def fail(path: str) -> NoReturn:
    note(path)
    raise RuntimeError("as it was asked to")


def requeue(path: str) -> NoReturn:
    note(path)
    raise Reject(requeue=True)
