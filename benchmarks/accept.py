"""What a phone waits for: a POST of samples, against a view that only knows its user and sends a message."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

from benchmarks.api import FLOOR, FLOOR_SILENT, INLINE, OURS, OURS_SILENT, check, served
from benchmarks.load import GUNZIP, WARM_UP, Sent, line, posts, rate, turns
from benchmarks.measure import Figure, ratio, typical
from benchmarks.quantiles import milliseconds, quantile_ratio
from benchmarks.sections import Scale

SMALL, LARGE = 1_000, 10_000
CLIENTS, ROUNDS = 4, 3
NEIGHBOURS = 10
VIEW = "DRF view that sends a message"


class Repeats(NamedTuple):
    """Requests to each variant."""

    small: int
    large: int
    inline: int
    each_client: int


REPEATS = {
    Scale.QUICK: Repeats(small=4, large=2, inline=1, each_client=1),
    Scale.NORMAL: Repeats(small=200, large=30, inline=5, each_client=25),
    Scale.FULL: Repeats(small=1000, large=100, inline=9, each_client=60),
}


def figures(*, scale: Scale) -> Iterator[Figure]:
    repeats = REPEATS[scale]
    sent = Sent()
    with served() as (url, messages):
        yield from small(url, repeats=repeats.small, sent=sent)
        yield from large(url, repeats=repeats.large, sent=sent)
        yield from before(url, repeats=repeats.inline, sent=sent)
        yield from crowd(url, requests=repeats.each_client, sent=sent)
        check(sent.samples, requests=sent.requests, messages=messages())


def small(url: str, *, repeats: int, sent: Sent) -> Iterator[Figure]:
    seconds = turns(url, samples=SMALL, paths=(FLOOR, OURS, FLOOR_SILENT, OURS_SILENT), repeats=repeats, sent=sent)
    ours, floor = seconds[OURS], seconds[FLOOR]
    for share in (50, 99):
        name = f"accept.1000_p{share}_vs_floor"
        yield quantile_ratio(name, of=ours, to=floor, share=share / 100, baseline=VIEW, target=3)
    name, baseline = "accept.1000_p50_vs_floor_silent", "DRF view; neither sends its message"
    yield quantile_ratio(name, of=seconds[OURS_SILENT], to=seconds[FLOOR_SILENT], share=0.5, baseline=baseline)
    yield milliseconds("accept.1000_p50_ms", ours)
    yield milliseconds("accept.1000_p99_ms", ours, share=0.99)
    yield milliseconds("accept.1000_silent_p50_ms", seconds[OURS_SILENT])
    yield milliseconds("accept.floor_p50_ms", floor)
    yield milliseconds("accept.floor_silent_p50_ms", seconds[FLOOR_SILENT])


def large(url: str, *, repeats: int, sent: Sent) -> Iterator[Figure]:
    seconds = turns(url, samples=LARGE, paths=(FLOOR, OURS), repeats=repeats, sent=sent, gunzip=True)
    least = [sum(pair) for pair in zip(seconds[FLOOR], seconds[GUNZIP], strict=True)]
    name, baseline = "accept.10000_p50_vs_gunzip_plus_floor", f"{VIEW}, and gunzip"
    yield quantile_ratio(name, of=seconds[OURS], to=least, share=0.5, baseline=baseline, target=2.2)
    yield milliseconds("accept.10000_p50_ms", seconds[OURS])
    yield milliseconds("accept.10000_floor_p50_ms", seconds[FLOOR])
    yield milliseconds("accept.10000_gunzip_p50_ms", seconds[GUNZIP])


def before(url: str, *, repeats: int, sent: Sent) -> Iterator[Figure]:
    """Each of its requests among some of ours."""
    deck = posts(WARM_UP + repeats * NEIGHBOURS, samples=SMALL)
    ours, inline = [], []
    with line(url, sent=sent) as phone:
        for post in deck[:WARM_UP]:
            phone.seconds(post, path=OURS)
        for first in range(WARM_UP, len(deck), NEIGHBOURS):
            near = deck[first : first + NEIGHBOURS]
            ours.append(median(phone.seconds(post, path=OURS) for post in near))
            inline.append(phone.seconds(near[0], path=INLINE))
    yield ratio("accept.1000_vs_before", of=ours, to=inline, baseline="update_or_create in the request", target=400)
    yield milliseconds("accept.before_p50_ms", inline)


def crowd(url: str, *, requests: int, sent: Sent) -> Iterator[Figure]:
    for name, path in (("1000", OURS), ("floor", FLOOR)):
        rates = [
            rate(url, clients=CLIENTS, requests=requests, samples=SMALL, path=path, sent=sent) for _ in range(ROUNDS)
        ]
        yield typical(f"accept.{name}_{CLIENTS}_clients", rates, unit="req/s", baseline="-")
