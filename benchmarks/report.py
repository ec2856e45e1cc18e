"""How figures are shown, kept, and set beside older ones."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from benchmarks.measure import Figure

HEADINGS = ("figure", "value", "spread", "n", "against", "target", "")


def save(figures: Iterable[Figure], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(figure) for figure in figures], indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> list[Figure]:
    return [read(each) for each in json.loads(path.read_text(encoding="utf-8"))]


def read(figure: Mapping[str, object]) -> Figure:
    return Figure(**{**figure, "spread": tuple(figure["spread"])})  # type: ignore[arg-type]


def table(figures: Iterable[Figure], *, older: Mapping[str, float] | None = None) -> str:
    """With a column ``pass`` or ``short``, and one of what it was if there is something older."""
    lines = [[*HEADINGS, *(["was"] if older is not None else [])]]
    for figure in figures:
        was = [] if older is None else [_number(older[figure.name]) if figure.name in older else "-"]
        lines.append([*_cells(figure), *was])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _cells(figure: Figure) -> list[str]:
    low, high = map(_number, figure.spread)
    target = "" if figure.target is None else f"{'>=' if figure.at_least else '<='} {figure.target:g}"
    verdict = "" if figure.target is None else "short" if figure.is_short else "pass"
    value = f"{_number(figure.value)} {figure.unit}"
    return [figure.name, value, f"{low}-{high}", str(figure.n), figure.baseline, target, verdict]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
