"""Timing that a noisy machine does not spoil: variants take turns, and medians of ratios of neighbours are compared."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured value; ``spread`` is the lowest and the highest of ``n`` repeats."""

    name: str
    value: float
    unit: str
    baseline: str
    n: int
    spread: tuple[float, float]
    target: float | None = None
    at_least: bool = True
    """Whether the target is a lower bound."""

    @property
    def is_short(self) -> bool:
        if self.target is None:
            return False
        return self.value < self.target if self.at_least else self.value > self.target


def take_turns(variants: Mapping[str, Callable[[], float]], *, repeats: int) -> dict[str, list[float]]:
    """Seconds of each variant, in rounds: A B C, then B C A. Each variant times itself, without its preparation."""
    names = list(variants)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(repeats + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            gc.collect()
            took = variants[name]()
            if turn:  # the first round warms up
                seconds[name].append(took)
    return seconds


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def typical(
    name: str,
    values: Sequence[float],
    *,
    unit: str,
    baseline: str,
    value: float | None = None,
    target: float | None = None,
    at_least: bool = True,
) -> Figure:
    """The median of repeats, unless ``value`` is given."""
    return Figure(
        name=name,
        value=median(values) if value is None else value,
        unit=unit,
        baseline=baseline,
        n=len(values),
        spread=(min(values), max(values)),
        target=target,
        at_least=at_least,
    )


def ratio(
    name: str,
    *,
    of: Sequence[float],
    to: Sequence[float],
    unit: str = "x",
    baseline: str,
    target: float | None = None,
    at_least: bool = True,
) -> Figure:
    """``to / of`` round by round: how many times faster ``of`` is."""
    ratios = [other / one for one, other in zip(of, to, strict=True)]
    return typical(name, ratios, unit=unit, baseline=baseline, target=target, at_least=at_least)
