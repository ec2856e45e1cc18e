"""What only matters, or can only be seen, where the host runs for others: ``check --deploy``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Warning, register
from django.core.files.storage import FileSystemStorage, storages

from django_healthkit_ingest.checks.host import readable_settings
from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.queues import SENDS_GROUPS
from django_healthkit_ingest.sqs.broker import broker, celery_option, is_missing


@register("healthkit_ingest", deploy=True)
def check_deployment(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if readable_settings() is None:
        return []
    messages = list(local_files())
    if is_missing():
        messages.append(
            Warning(
                "This process has no Celery app: its messages would go to Celery's default broker, amqp://.",
                hint="Import the module with your Celery app in manage.py, wsgi.py and asgi.py, or in your project's "
                "__init__.py.",
                id="healthkit_ingest.W019",
            )
        )
    elif broker().is_sqs:
        messages += [*stop_without_loss(), *fairness()]
    return messages


def local_files() -> Iterator[CheckMessage]:
    alias = get_settings().upload_storage
    if alias in storages.backends and isinstance(storages[alias], FileSystemStorage):
        yield Warning(
            f"Uploads go to the storage {alias!r}, which is this machine's own disk: a worker elsewhere cannot read "
            "them.",
            hint="Set HEALTHKIT_INGEST['UPLOAD_STORAGE'] to a storage that all processes reach, such as a private "
            "bucket. Silence this check where all of them share the disk.",
            id="healthkit_ingest.W017",
        )


def stop_without_loss() -> Iterator[CheckMessage]:
    if not celery_option("worker_soft_shutdown_timeout"):
        yield Warning(
            "worker_soft_shutdown_timeout is 0: a worker that is stopped gets no time to end what it has begun.",
            hint="Set CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT to 90, and the container's stop timeout to 120.",
            id="healthkit_ingest.W010",
        )
    if os.environ.get("REMAP_SIGTERM") != "SIGQUIT":
        yield Warning(
            "REMAP_SIGTERM is not set in this environment: a worker that gets SIGTERM waits for its tasks until it is "
            "killed, and their messages stay hidden.",
            hint="Set the environment variable REMAP_SIGTERM=SIGQUIT in the container's image.",
            id="healthkit_ingest.W011",
        )


def fairness() -> Iterator[CheckMessage]:
    if not SENDS_GROUPS:
        yield Warning(
            "This kombu cannot send a MessageGroupId to a standard queue: SQS does not know whose messages are whose.",
            hint="Install kombu 5.7 or newer for SQS's fair queues. Without it only DISPATCH_WINDOW keeps order.",
            id="healthkit_ingest.W013",
        )
