"""How long one user's 500 samples take while another user's history is being stored."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from django.db import connections

from benchmarks.latency import SAMPLES, Sync, sync
from benchmarks.measure import Figure, typical
from benchmarks.phone import Phone, compressed, new_phone
from benchmarks.quantiles import quantile
from benchmarks.sections import Scale

HISTORY = {Scale.QUICK: 20_000, Scale.NORMAL: 60_000, Scale.FULL: 200_000}
BODY = 10_000
SYNCS = {Scale.QUICK: 1, Scale.NORMAL: 40, Scale.FULL: 80}
"""Wanted of each kind, on the idle system and beside a history."""
LOOK = 0.25
"""Seconds between two looks at the history: nobody waits for it by the millisecond."""


def figures(url: str, *, scale: Scale) -> Iterator[Figure]:
    history, wanted = HISTORY[scale], SYNCS[scale]
    idle: list[float] = []
    busy: list[float] = []
    seconds: list[float] = []
    while len(busy) < wanted:
        idle += [sync(url).visible for _ in range(wanted // 4 + 1)]
        beside, took = beside_a_history(url, samples=history)
        busy += beside
        seconds.append(took)
    baseline = f"{SAMPLES} samples, idle system"
    slower = [each / median(idle) for each in busy]
    worst = quantile(busy, 0.95) / quantile(idle, 0.95)
    yield typical("fairness.p95_vs_idle", slower, value=worst, unit="x", baseline=baseline, target=3, at_least=False)
    yield typical("fairness.p50_vs_idle", slower, unit="x", baseline=baseline)
    rates = [history / took for took in seconds]
    what = "the history, POST of its first body to its last row"
    yield typical("fairness.history_samples_per_s", rates, unit="/s", baseline=what)


def beside_a_history(url: str, *, samples: int) -> tuple[list[float], float]:
    """Seconds of each sync that began and ended between the history's first row and its last; and of the history."""
    heavy = new_phone(url)
    bodies = [compressed(BODY) for _ in range(samples // BODY)]
    syncs: list[Sync] = []
    with ThreadPoolExecutor(max_workers=1) as pool:
        started = time.monotonic()
        history = pool.submit(backfill, heavy, bodies=bodies)
        while not heavy.stored() and not history.done():
            time.sleep(LOOK / 10)
        while not history.done():
            syncs.append(sync(url))
        ended = history.result()
    return [each.visible for each in syncs if each.began + each.visible < ended], ended - started


def backfill(heavy: Phone, *, bodies: list[bytes]) -> float:
    """One body after the other, as a phone sends them; the time of the monotonic clock at which all is stored."""
    try:
        for content in bodies:
            heavy.send(content)
        heavy.wait(samples=len(bodies) * BODY, breath=LOOK)
        return time.monotonic()
    finally:
        connections.close_all()
