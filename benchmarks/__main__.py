"""``python -m benchmarks [--quick] [--compare FILE]``: a table, and ``benchmarks/results/latest.json``."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.database import fresh_database
from benchmarks.measure import Figure

LATEST = Path(__file__).parent / "results" / "latest.json"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: shows that it runs, not how fast it is")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="an older latest.json to show beside")
    options = parser.parse_args()
    older = _read(options.compare) if options.compare else {}
    with fresh_database():
        from benchmarks import store

        measured = list(store.figures(quick=options.quick))
    for figure in measured:
        sys.stdout.write(_line(figure, older.get(figure.name)) + "\n")
    LATEST.parent.mkdir(exist_ok=True)
    LATEST.write_text(json.dumps([asdict(figure) for figure in measured], indent=1) + "\n", encoding="utf-8")


def _read(path: Path) -> dict[str, float]:
    return {figure["name"]: figure["value"] for figure in json.loads(path.read_text(encoding="utf-8"))}


def _line(figure: Figure, older: float | None) -> str:
    low, high = figure.spread
    target = "" if figure.target is None else f"target {'>=' if figure.at_least else '<='} {figure.target:g}"
    verdict = "" if figure.target is None else "short" if figure.is_short else "pass"
    before = "" if older is None else f"was {older:.3g}"
    value = f"{figure.value:8.3g} {figure.unit} [{low:.3g}-{high:.3g}] n={figure.n}"
    return f"{figure.name:<32} {value:<40} vs {figure.baseline:<36} {target:<14} {verdict:<6} {before}".rstrip()


if __name__ == "__main__":
    main()
