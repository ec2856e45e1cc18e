"""What imports cost: SQS requests, rows and bytes per 10,000 samples, and requests per idle hour.

``python -m benchmarks.cost [--idle SECONDS]``. A real api, a real worker, a durable PostgreSQL; every call to SQS goes
through a front that writes it down. It counts and does not time: another machine finds the same.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import django

from example_project.demo import host
from example_project.services.queues import create_queue
from example_project.services.together import Services, start_services
from tests.sqs.front import Front, wait_until

SAMPLES = 10_000
BODIES = (1, 10, 100)
SECONDS = 120
"""For what takes a few."""
QUIET = 3.0
START = datetime(2026, 1, 1, tzinfo=UTC)
POLL = "ReceiveMessage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    requests: Counter[str]
    rows: Counter[str]
    bytes: Counter[str]
    sent: int
    """Bytes of the bodies, compressed."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__)
    parser.add_argument("--idle", type=int, default=60, metavar="SECONDS", help="how long to watch an idle worker")
    seconds: int = parser.parse_args().idle
    with start_services(with_valkey=False, durable=True) as services:
        assert services.sqs is not None
        with Front(services.sqs.endpoint_url) as front:
            measure(services, front=front, seconds=seconds)


def measure(services: Services, *, front: Front, seconds: int) -> None:
    set_up(services, endpoint=front.url)
    with host.api() as url, host.worker():
        for bodies in BODIES:
            show(f"{SAMPLES} samples in {bodies} bodies", cost(front, url=url, bodies=bodies))
        before = len(front.calls)
        time.sleep(seconds)
        show_idle(since(front, before), seconds=seconds)
    # The worker is gone: what is counted now is the sweep's alone.
    before = len(front.calls)
    sweep = [sys.executable, "-m", "example_project.manage", "healthkit_ingest_sweep"]
    subprocess.run(sweep, cwd=host.ROOT, stdout=subprocess.DEVNULL, check=True)
    tell(f"a sweep with nothing to do: {counts(since(front, before)) or 'no request'}")


def set_up(services: Services, *, endpoint: str) -> None:
    """Django and the processes started from here on use these services, SQS at that endpoint, and an empty database."""
    assert services.sqs is not None
    queue = create_queue(services.sqs, name=host.QUEUE)
    os.environ.update(services.environment())
    os.environ.update(replace(services.sqs, endpoint_url=endpoint).environment())
    os.environ.update(
        CELERY_BROKER_URL="sqs://",
        CELERY_APPLE_HEALTH_QUEUE_URL=queue.url,
        DJANGO_ALLOWED_HOSTS="127.0.0.1",
        DJANGO_SECRET_KEY=secrets.token_urlsafe(32),
        DJANGO_SETTINGS_MODULE="example_project.settings",
    )
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def since(front: Front, before: int) -> Counter[str]:
    return Counter(call.action for call in front.calls[before:])


def cost(front: Front, *, url: str, bodies: int) -> Cost:
    """One new user sends it all, and it is stored."""
    from django.contrib.auth import get_user_model
    from rest_framework.authtoken.models import Token

    from django_healthkit_ingest.core.states import Status
    from django_healthkit_ingest.models import HealthSample, ImportBatch

    user = get_user_model().objects.create_user(secrets.token_hex(6))
    token = Token.objects.create(user=user).key
    share = SAMPLES // bodies
    contents = [body(range(index * share, (index + 1) * share)) for index in range(bodies)]
    requests, (rows, sizes) = len(front.calls), tables()

    for content in contents:
        send(content, url=url, token=token)
    completed = ImportBatch.objects.filter(user_id=user.pk, status=Status.COMPLETED)
    if not wait_until(lambda: completed.count() == bodies, timeout=SECONDS) or not falls_quiet(front):
        raise RuntimeError("Not everything that was sent has been processed in time.")
    if HealthSample.objects.for_user(user).count() != SAMPLES:
        raise RuntimeError("Not everything that was sent has been stored.")

    rows_after, sizes_after = tables()
    return Cost(
        requests=since(front, requests),
        rows=rows_after - rows,
        bytes=sizes_after - sizes,
        sent=sum(map(len, contents)),
    )


def body(numbers: range) -> bytes:
    from django_healthkit_ingest.testing import healthkit_body
    from django_healthkit_ingest.testing.payloads import quantity

    instants = ((number, (START + timedelta(seconds=5 * number)).isoformat()) for number in numbers)
    return gzip.compress(healthkit_body(*(quantity(value=50 + number % 90, start=start) for number, start in instants)))


def send(content: bytes, *, url: str, token: str) -> None:
    headers = {
        "Authorization": f"Token {token}",
        "Content-Type": "application/json",
        "Content-Encoding": "gzip",
        "Idempotency-Key": secrets.token_hex(8),
    }
    request = urllib.request.Request(f"{url}/health/imports/", data=content, method="POST", headers=headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        json.load(answer)


def falls_quiet(front: Front) -> bool:
    """Nothing but polls for a while: the last message is deleted."""

    def is_quiet() -> bool:
        last = max(call.at for call in front.calls if call.action != POLL)
        return time.monotonic() - last > QUIET

    return wait_until(is_quiet, timeout=SECONDS)


def tables() -> tuple[Counter[str], Counter[str]]:
    """Rows and bytes (indexes and TOAST with them) of each of our tables that holds anything."""
    from django.apps import apps
    from django.db import connection

    rows: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for model in apps.get_app_config("healthkit_ingest").get_models():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_total_relation_size(%s)", [model._meta.db_table])
            (size,) = cursor.fetchone()
        sizes[model.__name__] = size
        rows[model.__name__] = model._default_manager.count()
    return rows, sizes


def show(title: str, cost: Cost) -> None:
    tell(f"{title}, {cost.sent:,} bytes as sent")
    tell(f"  SQS requests {cost.requests.total():>10,}  {counts(cost.requests)}")
    tell(f"  rows         {cost.rows.total():>10,}  {counts(cost.rows)}")
    tell(f"  bytes        {cost.bytes.total():>10,}  {counts(cost.bytes)}")


def show_idle(requests: Counter[str], *, seconds: int) -> None:
    from example_project import settings

    options: Mapping[str, float] = vars(settings)["CELERY_BROKER_TRANSPORT_OPTIONS"]
    expected = 3600 / (options["wait_time_seconds"] + options["polling_interval"])
    tell(f"idle for {seconds} s: {counts(requests)}")
    tell(f"  an hour      {requests.total() * 3600 / seconds:>10,.0f}  expected of the settings: {expected:,.0f}")


def counts(of: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in of.most_common() if count)


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
