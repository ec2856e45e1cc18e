"""Token buckets: what is drawn from one, whether it is admitted, and when it would be.

A bucket's state is one number, how much of it is ``spent`` and not yet refilled, so a bucket that nobody keeps is
full. Time comes in from outside. The sums are of floating-point numbers, in a fixed order: the script in
``pipeline.buckets`` does the same ones in Redis, and a test holds the two to the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from django_healthkit_ingest.core.quotas import Quota

SECOND = 1_000_000
"""In microseconds, the unit of every clock here."""

UNITS = {"bytes": "content-bytes", "records": "records"}
"""The quota units of the header fields, where they are not requests; the first is registered, the second our own."""

LARGEST = 999_999_999_999_999
"""A whole number of a structured field (RFC 9651) has at most fifteen digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """The state of one bucket after a charge."""

    name: str
    """``requests``, ``device_bytes``, ..."""
    amount: int
    seconds: int
    remaining: int
    """Whole units that are left; 0 also while there is debt."""
    reset: int
    """Seconds until the bucket has something again; 0 if it has now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What one charge takes from one bucket."""

    name: str
    quota: Quota
    cost: int

    @property
    def measure(self) -> str:
        return self.name.removeprefix("device_")

    @property
    def need(self) -> int:
        """How much the bucket must hold. One request more or less can be told beforehand; how large a body is cannot be
        changed by waiting, so any size passes where there is something left, and becomes a debt.
        """
        return min(self.cost, self.quota.amount) if self.measure == "requests" else 1


def refill(spent: float, *, quota: Quota, elapsed: int) -> float:
    """What is still spent after so many microseconds; a clock that was set back refills nothing."""
    return max(0.0, spent - float(max(0, elapsed)) * quota.amount / (quota.seconds * SECOND))


def settle(draws: Sequence[Draw], *, spent: Sequence[float]) -> tuple[bool, tuple[float, ...]]:
    """Whether every bucket admits its draw, and what is spent then: with all of the draws, or with none."""
    pairs = tuple(zip(draws, spent, strict=True))
    if not all(admits(draw, spent=level) for draw, level in pairs):
        return False, tuple(spent)
    return True, tuple(level + draw.cost for draw, level in pairs)


def admits(draw: Draw, *, spent: float) -> bool:
    return spent + draw.need <= draw.quota.amount


def wait(draws: Sequence[Draw], *, spent: Sequence[float]) -> int:
    """Whole seconds, 1 or more, until all of the buckets would admit their draws."""
    return max(
        1, *(_seconds(draw.need, quota=draw.quota, spent=level) for draw, level in zip(draws, spent, strict=True))
    )


def look(draw: Draw, *, spent: float) -> Allowance:
    quota = draw.quota
    return Allowance(
        name=draw.name,
        amount=quota.amount,
        seconds=quota.seconds,
        remaining=max(0, math.floor(quota.amount - spent)),
        reset=_seconds(1, quota=quota, spent=spent),
    )


def keep_for(draw: Draw, *, spent: float) -> int:
    """Whole seconds until the bucket is full, and need not be kept any longer."""
    return _seconds(draw.quota.amount, quota=draw.quota, spent=spent)


def rate_limit_headers(allowances: Sequence[Allowance]) -> dict[str, str]:
    """``RateLimit-Policy`` and ``RateLimit`` of draft-ietf-httpapi-ratelimit-headers; nothing for no allowances."""
    if not allowances:
        return {}
    return {
        "RateLimit-Policy": ", ".join(map(_policy, allowances)),
        "RateLimit": ", ".join(
            f'"{each.name}";r={min(each.remaining, LARGEST)};t={min(each.reset, LARGEST)}' for each in allowances
        ),
    }


def _policy(allowance: Allowance) -> str:
    unit = UNITS.get(allowance.name.removeprefix("device_"))
    policy = f'"{allowance.name}";q={min(allowance.amount, LARGEST)};w={allowance.seconds}'
    return f'{policy};qu="{unit}"' if unit else policy


def _seconds(need: int, *, quota: Quota, spent: float) -> int:
    """Until a bucket holds so much, rounded up."""
    return max(0, math.ceil((spent + need - quota.amount) * quota.seconds / quota.amount))
