"""Figures of many single requests: their quantiles, and ratios of those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import ceil
from statistics import median

from benchmarks.measure import Figure, typical

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
    value = quantile(of, share) / quantile(to, share)
    figure = typical(name, parts, value=value, unit="x", baseline=baseline, target=target, at_least=False)
    return replace(figure, n=len(of))


def milliseconds(name: str, seconds: Sequence[float], *, share: float = 0.5, baseline: str = "-") -> Figure:
    """Its spread is the fastest and the slowest request."""
    taken = [1000 * each for each in seconds]
    return typical(name, taken, value=quantile(taken, share), unit="ms", baseline=baseline)


def _blocks(length: int) -> list[slice]:
    blocks = min(BLOCKS, length)
    edges = [length * place // blocks for place in range(blocks + 1)]
    return [slice(start, end) for start, end in pairwise(edges)]
