"""Figures of many single requests: their quantiles, and ratios of those."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil
from statistics import median

from benchmarks.measure import Figure

BLOCKS = 5


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of them do not exceed; of few values the largest."""
    if share == 0.5:
        return median(values)
    ordered = sorted(values)
    return ordered[ceil(share * len(ordered)) - 1]


def quantile_ratio(
    name: str,
    *,
    of: Sequence[float],
    to: Sequence[float],
    share: float,
    baseline: str,
    target: float | None = None,
) -> Figure:
    """How many times longer ``of`` takes, of requests that took turns; its spread is that of five parts of the run."""
    parts = [quantile(of[part], share) / quantile(to[part], share) for part in _blocks(len(of))]
    return Figure(
        name=name,
        value=quantile(of, share) / quantile(to, share),
        unit="x",
        baseline=baseline,
        n=len(of),
        spread=(min(parts), max(parts)),
        target=target,
        at_least=False,
    )


def milliseconds(name: str, seconds: Sequence[float], *, share: float = 0.5, baseline: str = "-") -> Figure:
    """Its spread is the fastest and the slowest request."""
    return Figure(
        name=name,
        value=quantile(seconds, share) * 1000,
        unit="ms",
        baseline=baseline,
        n=len(seconds),
        spread=(min(seconds) * 1000, max(seconds) * 1000),
    )


def _blocks(length: int) -> list[slice]:
    blocks = min(BLOCKS, length)
    edges = [length * place // blocks for place in range(blocks + 1)]
    return [slice(start, end) for start, end in pairwise(edges)]
