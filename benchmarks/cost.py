"""What imports cost: SQS requests, rows and bytes per 10,000 samples, and requests per idle hour.

``python -m benchmarks.cost [--idle SECONDS]``. A real api, a real worker, a durable PostgreSQL; every call to SQS goes
through a front that writes it down. It counts and does not time: another machine finds the same.
"""

from __future__ import annotations

import argparse
import gzip
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from benchmarks import services
from example_project.demo import host
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
    with services.road() as sqs, Front(sqs.endpoint_url) as front:
        services.reach(sqs, through=front.url)
        measure(front, seconds=seconds)


def measure(front: Front, *, seconds: int) -> None:
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


def since(front: Front, before: int) -> Counter[str]:
    return Counter(call.action for call in front.calls[before:])


def cost(front: Front, *, url: str, bodies: int) -> Cost:
    """One new user sends it all, and it is stored."""
    from benchmarks.phone import new_phone
    from django_healthkit_ingest.core.states import Status
    from django_healthkit_ingest.models import ImportBatch

    phone = new_phone(url)
    share = SAMPLES // bodies
    contents = [body(range(index * share, (index + 1) * share)) for index in range(bodies)]
    requests, (rows, sizes) = len(front.calls), tables()

    for content in contents:
        phone.send(content)
    completed = ImportBatch.objects.filter(user_id=phone.user.pk, status=Status.COMPLETED)
    if not wait_until(lambda: completed.count() == bodies, timeout=SECONDS) or not falls_quiet(front):
        raise RuntimeError("Not everything that was sent has been processed in time.")
    if phone.stored() != SAMPLES:
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
    from benchmarks import settings

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
