"""How long one user's 500 samples take while another user's history of 200,000 is being stored.

``python -m benchmarks.fairness [--samples N] [--syncs N]``. A real api, a real worker with two processes, a durable
PostgreSQL and moto, all on this machine: read the ratio, not the milliseconds.
"""

from __future__ import annotations

import argparse
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median, quantiles
from typing import Any

from benchmarks import cost
from example_project.demo import host
from example_project.services.together import start_services

BODY = 10_000
SYNC = 500
PAUSE = 0.5
"""Seconds between two syncs of the user who waits."""
PATIENCE = 60


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fairness", description=__doc__)
    parser.add_argument("--samples", type=int, default=200_000, help="of the history")
    parser.add_argument("--syncs", type=int, default=30, help="measured on the idle system")
    options = parser.parse_args()
    with start_services(with_valkey=False, durable=True) as services:
        assert services.sqs is not None
        cost.set_up(services, endpoint=services.sqs.endpoint_url)
        with host.api() as url, host.worker():
            idle = [sync(url, user=user()) for _ in range(options.syncs)]
            busy, took = beside_a_history(url, samples=options.samples)
    tell("idle", idle)
    tell("beside a history", busy)
    cost.tell(f"history: {options.samples} samples in {took:.0f} s, {len(busy)} syncs beside it")
    cost.tell(f"fairness.p95_vs_idle {p95(busy) / p95(idle):.2f} (target <= 3), p50 {median(busy) / median(idle):.2f}")


def beside_a_history(url: str, *, samples: int) -> tuple[list[float], float]:
    """Seconds of each sync, from the moment the history's first rows are there until its last is."""
    from django_healthkit_ingest.models import HealthSample

    heavy = user()
    rows = HealthSample.objects.for_user(heavy)
    seconds: list[float] = []
    started = time.monotonic()
    with ThreadPoolExecutor(max_workers=1) as pool:
        history = pool.submit(backfill, heavy, url=url, samples=samples)
        while not rows.exists() and not history.done():
            time.sleep(0.1)
        while not history.done():
            seconds.append(sync(url, user=user()))
            time.sleep(PAUSE)
        history.result()
    return seconds, time.monotonic() - started


def backfill(user: Any, *, url: str, samples: int) -> None:
    from django.db import connections

    from django_healthkit_ingest.models import HealthSample

    try:
        for first in range(0, samples, BODY):
            cost.send(cost.body(range(first, first + BODY)), url=url, token=token_of(user))
        while HealthSample.objects.for_user(user).count() < samples:
            time.sleep(1)
    finally:
        connections.close_all()


def sync(url: str, *, user: Any) -> float:
    """Seconds from the POST until the last row is visible."""
    from django_healthkit_ingest.models import HealthSample

    content = cost.body(range(SYNC))
    rows = HealthSample.objects.for_user(user)
    started = time.perf_counter()
    cost.send(content, url=url, token=token_of(user))
    while rows.count() < SYNC:
        if time.perf_counter() - started > PATIENCE:
            raise RuntimeError(f"{SYNC} samples were not stored within {PATIENCE} s.")
        time.sleep(0.01)
    return time.perf_counter() - started


def user() -> Any:
    from django.contrib.auth import get_user_model

    return get_user_model().objects.create_user(secrets.token_hex(6))


def token_of(user: Any) -> str:
    from rest_framework.authtoken.models import Token

    return str(Token.objects.get_or_create(user=user)[0].key)


def p95(seconds: list[float]) -> float:
    return quantiles(seconds, n=20)[-1]


def tell(name: str, seconds: list[float]) -> None:
    milliseconds = [round(1000 * each) for each in (median(seconds), p95(seconds), min(seconds), max(seconds))]
    cost.tell(f"{name}: p50 {milliseconds[0]} ms, p95 {milliseconds[1]} ms [{milliseconds[2]}-{milliseconds[3]}]")


if __name__ == "__main__":
    main()
