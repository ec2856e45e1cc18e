"""The broker of the tests with real workers: SQS, or with HEALTHKIT_TEST_BROKER=redis a Redis."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
import redis
from django.db import connection

from example_project.services.queues import Queue
from example_project.services.sqs import SQS
from example_project.services.valkey import valkey
from tests.sqs.front import Front

BROKERS = ("sqs", "redis")
BROKER = os.environ.get("HEALTHKIT_TEST_BROKER", BROKERS[0])

if BROKER not in BROKERS:
    raise pytest.UsageError(f"HEALTHKIT_TEST_BROKER must be one of {', '.join(BROKERS)}.")


def only_on_sqs() -> None:
    if BROKER != "sqs":
        pytest.skip(f"about SQS itself; this run is on {BROKER} (HEALTHKIT_TEST_BROKER)")


@contextmanager
def redis_url() -> Iterator[str]:
    """A server of our own, since tests empty it: never that of REDIS_URL."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("REDIS_URL", raising=False)
            server = stack.enter_context(valkey())
        yield server.url


def on_redis(url: str) -> dict[str, str]:
    """The variables of a host on this broker, which is empty from now on."""
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return {"CELERY_BROKER_URL": url}


def on_sqs(emulator: SQS, *, front: Front, queue: Queue) -> dict[str, str]:
    """The variables of a host that reaches this queue through the front."""
    return {
        **replace(emulator, endpoint_url=front.url).environment(),
        "CELERY_BROKER_URL": "sqs://",
        "CELERY_APPLE_HEALTH_QUEUE_URL": queue.url,
    }


def host_variables() -> Mapping[str, str]:
    """The rest of the example project's environment: this test's database."""
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    return {
        "DATABASE_URL": database.geturl(),
        "DJANGO_ALLOWED_HOSTS": "127.0.0.1",
        "DJANGO_SECRET_KEY": secrets.token_urlsafe(32),
        "DJANGO_SETTINGS_MODULE": "tests.acceptance.settings",
    }
