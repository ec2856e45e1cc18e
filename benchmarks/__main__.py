"""``python -m benchmarks [--quick | --full] [--only SECTION ...] [--compare FILE]``: a table, and the same as JSON."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks import report
from benchmarks.measure import Figure
from benchmarks.sections import SECTIONS, Scale

ROOT = Path(__file__).parents[1]
AT_ONCE = 3
"""Sections side by side where nothing is measured: most of their time goes into starting services."""
LATEST = Path(__file__).parent / "results" / "latest.json"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    for scale, says in (
        (Scale.QUICK, "shows that everything runs, not how fast it is"),
        (Scale.FULL, "the sizes that the targets name; half an hour"),
    ):
        size.add_argument(f"--{scale}", dest="scale", action="store_const", const=scale, help=says)
    parser.set_defaults(scale=Scale.NORMAL)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, metavar="SECTION", help="some of them")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="an older latest.json to show beside")
    options = parser.parse_args()
    older = {each.name: each.value for each in report.load(options.compare)} if options.compare else None
    figures: list[Figure] = []
    failed: list[str] = []
    with ThreadPoolExecutor(max_workers=AT_ONCE if options.scale is Scale.QUICK else 1) as pool:
        for section, (found, ended) in zip(
            options.only, pool.map(partial(run, scale=options.scale), options.only), strict=True
        ):
            figures += found
            report.save(figures, LATEST)
            if not ended:
                failed.append(section)
    sys.stdout.write(report.table(figures, older=older) + "\n")
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}")


def run(section: str, *, scale: Scale) -> tuple[list[Figure], bool]:
    """In a process of its own: what it measured, and whether it came to its end."""
    command = [sys.executable, "-m", "benchmarks.section", section, scale]
    started = time.monotonic()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        figures = [report.read(json.loads(line)) for line in process.stdout]
    sys.stderr.write(f"{section}: {time.monotonic() - started:.0f} s\n")
    return figures, process.returncode == 0


if __name__ == "__main__":
    main()
