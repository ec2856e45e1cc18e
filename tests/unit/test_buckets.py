from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as some

from django_healthkit_ingest.core.buckets import (
    SECOND,
    Allowance,
    Draw,
    admits,
    keep_for,
    look,
    rate_limit_headers,
    refill,
    settle,
    wait,
)
from django_healthkit_ingest.core.quotas import Quota

quotas = some.builds(Quota, amount=some.integers(1, 2 * 10**9), seconds=some.sampled_from((1, 60, 3600, 86400)))
costs = some.integers(1, 10**10)
names = some.sampled_from(("requests", "bytes", "records", "device_requests", "device_bytes", "device_records"))
levels = some.floats(0, 1000)
"""In buckets full: below 1 there is something left, above there is debt."""
draws = some.builds(Draw, name=names, quota=quotas, cost=costs)


def draw(name: str, cost: int, *, amount: int = 100, seconds: int = 60) -> Draw:
    return Draw(name=name, quota=Quota(amount=amount, seconds=seconds), cost=cost)


@pytest.mark.parametrize(
    ("taken", "spent", "admitted"),
    [
        (draw("requests", 1), 99, True),
        (draw("requests", 1), 99.5, False),
        (draw("requests", 3), 97, True),
        (draw("device_requests", 3), 98, False),
        (draw("requests", 101), 0, True),
        (draw("requests", 101), 0.5, False),
        (draw("bytes", 1_000_000), 99, True),
        (draw("bytes", 1_000_000), 99.5, False),
        (draw("device_bytes", 1), 100, False),
        (draw("records", 2), 150, False),
    ],
)
def test_requests_need_their_cost_and_the_rest_needs_something(taken: Draw, spent: float, admitted: bool) -> None:
    assert admits(taken, spent=spent) is admitted


def test_all_are_charged_or_none() -> None:
    both = (draw("requests", 1), draw("bytes", 500))

    assert settle(both, spent=(0, 0)) == (True, (1, 500))
    assert settle(both, spent=(1, 500)) == (False, (1, 500))
    assert settle(both, spent=(100, 0)) == (False, (100, 0))


@pytest.mark.parametrize(
    ("spent", "elapsed", "left"),
    [
        (100, 0, 100),
        (100, 30 * SECOND, 50),
        (150, 30 * SECOND, 100),
        (100, 60 * SECOND, 0),
        (100, 86400 * SECOND, 0),
        (100, -86400 * SECOND, 100),
    ],
)
def test_a_bucket_fills_evenly_and_not_beyond_its_brim(spent: float, elapsed: int, left: float) -> None:
    assert refill(spent, quota=Quota(amount=100, seconds=60), elapsed=elapsed) == left


@pytest.mark.parametrize(
    ("spent", "remaining", "reset"),
    [(0, 100, 0), (0.5, 99, 0), (99, 1, 0), (99.5, 0, 1), (100, 0, 1), (300, 0, 121)],
)
def test_what_is_left(spent: float, remaining: int, reset: int) -> None:
    allowance = look(draw("bytes", 5), spent=spent)

    assert allowance == Allowance(name="bytes", amount=100, seconds=60, remaining=remaining, reset=reset)


def test_the_slowest_bucket_decides_how_long_to_wait() -> None:
    assert wait((draw("requests", 1), draw("bytes", 1)), spent=(100, 200)) == 61
    assert wait((draw("requests", 1), draw("bytes", 1)), spent=(200, 100)) == 61
    assert wait((draw("requests", 1),), spent=(99.1,)) == 1
    assert wait((draw("requests", 1),), spent=(0,)) == 1


@given(amount=some.integers(1, 300), seconds=some.sampled_from((1, 7, 60, 3600, 86400)))
def test_a_burst_is_the_whole_amount_and_no_more(amount: int, seconds: int) -> None:
    one = draw("requests", 1, amount=amount, seconds=seconds)
    spent: tuple[float, ...] = (0.0,)

    answers = []
    for _ in range(amount + 3):
        admitted, spent = settle((one,), spent=spent)
        answers.append(admitted)

    assert answers == [True] * amount + [False] * 3


@given(taken=draws, level=levels)
def test_whoever_waits_as_told_is_admitted_and_not_much_later_than_need_be(taken: Draw, level: float) -> None:
    spent = level * taken.quota.amount
    seconds = wait((taken,), spent=(spent,))
    nearly = SECOND // 1000

    assert admits(taken, spent=refill(spent, quota=taken.quota, elapsed=seconds * SECOND + nearly))
    if seconds > 1:
        assert not admits(taken, spent=refill(spent, quota=taken.quota, elapsed=(seconds - 1) * SECOND - nearly))


@given(taken=draws, level=levels)
def test_nothing_is_left_exactly_while_it_would_be_refused(taken: Draw, level: float) -> None:
    spent = level * taken.quota.amount
    left = look(taken, spent=spent)
    one = Draw(name=taken.name, quota=taken.quota, cost=1)

    assert (left.remaining > 0) == (left.reset == 0) == admits(one, spent=spent)


@given(taken=draws, level=levels)
def test_a_bucket_is_kept_until_it_is_full(taken: Draw, level: float) -> None:
    spent = level * taken.quota.amount
    seconds = keep_for(taken, spent=spent)

    assert refill(spent, quota=taken.quota, elapsed=seconds * SECOND + SECOND // 1000) == 0


@given(
    quota=quotas,
    steps=some.lists(some.tuples(some.integers(0, 3600 * SECOND), some.integers(1, 10**7)), max_size=30),
)
def test_over_time_no_more_passes_than_the_bucket_its_refill_and_one_body(
    quota: Quota, steps: list[tuple[int, int]]
) -> None:
    spent, passed, elapsed = 0.0, 0, 0
    for pause, cost in steps:
        elapsed += pause
        spent = refill(spent, quota=quota, elapsed=pause)
        admitted, (spent,) = settle((Draw(name="bytes", quota=quota, cost=cost),), spent=(spent,))
        passed += cost if admitted else 0

    largest = max((cost for _, cost in steps), default=0)
    assert passed <= quota.amount + Fraction(elapsed * quota.amount, quota.seconds * SECOND) + largest + 1


def test_the_header_fields() -> None:
    allowances = (
        Allowance(name="requests", amount=600, seconds=60, remaining=599, reset=0),
        Allowance(name="device_bytes", amount=2_000_000_000, seconds=3600, remaining=0, reset=17),
        Allowance(name="records", amount=10**16, seconds=3600, remaining=10**16, reset=0),
    )

    assert rate_limit_headers(allowances) == {
        "RateLimit-Policy": '"requests";q=600;w=60, "device_bytes";q=2000000000;w=3600;qu="content-bytes", '
        '"records";q=999999999999999;w=3600;qu="records"',
        "RateLimit": '"requests";r=599;t=0, "device_bytes";r=0;t=17, "records";r=999999999999999;t=0',
    }


def test_no_limits_are_no_header_fields() -> None:
    assert rate_limit_headers(()) == {}
