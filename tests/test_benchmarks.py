"""The benchmarks' own arithmetic. That they run is shown by ``make bench ARGS=--quick``; no test here is timed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import report, sections
from benchmarks.measure import Figure, ratio, take_turns
from benchmarks.quantiles import quantile

ROOT = Path(__file__).parent.parent


def figure(**fields: object) -> Figure:
    defaults = {"name": "a.b", "value": 2.0, "unit": "x", "baseline": "that", "n": 3, "spread": (1.0, 3.0)}
    return Figure(**(defaults | fields))  # type: ignore[arg-type]


def test_variants_take_turns_and_the_first_round_only_warms_up() -> None:
    order: list[str] = []

    def variant(name: str) -> float:
        order.append(name)
        return float(len(order))

    took = take_turns({name: lambda name=name: variant(name) for name in "abc"}, repeats=2)  # type: ignore[misc]

    assert "".join(order) == "abc" + "bca" + "cab"
    assert took == {"a": [6.0, 8.0], "b": [4.0, 9.0], "c": [5.0, 7.0]}


def test_a_ratio_compares_neighbours_and_not_sums() -> None:
    # A machine that is ten times slower in the second round changes nothing.
    measured = ratio("fast.vs_slow", of=[1, 10, 1], to=[4, 40, 5], baseline="slow", target=3)

    assert (measured.value, measured.n, measured.spread) == (4, 3, (4, 5))
    assert not measured.is_short


def test_rounds_that_are_not_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratio("fast.vs_slow", of=[1, 2], to=[1], baseline="slow")


@pytest.mark.parametrize(
    ("values", "expected"), [([3.0], 3.0), ([1.0, 3.0], 3.0), ([float(each) for each in range(1, 101)], 95.0)]
)
def test_a_quantile_is_one_of_the_values_however_few_they_are(values: list[float], expected: float) -> None:
    # statistics.quantiles refuses a single value before Python 3.13, and beyond few values it extrapolates.
    assert quantile(values[::-1], 0.95) == expected


@pytest.mark.parametrize(
    ("target", "at_least", "short"),
    [(2.0, True, False), (2.1, True, True), (2.0, False, False), (1.9, False, True), (None, True, False)],
)
def test_what_falls_short_of_its_target(target: float | None, at_least: bool, short: bool) -> None:
    assert figure(target=target, at_least=at_least).is_short is short


def test_the_table_says_pass_or_short_and_what_it_was() -> None:
    figures = [figure(target=1.0), figure(name="c.d", target=9.0), figure(name="e.f", value=12345.6, unit="/s")]

    heading, *lines = report.table(figures, older={"a.b": 1.5, "e.f": 999.0}).splitlines()

    assert heading.split() == ["figure", "value", "spread", "n", "against", "target", "was"]
    assert [line.split() for line in lines] == [
        ["a.b", "2", "x", "1-3", "3", "that", ">=", "1", "pass", "1.5"],
        ["c.d", "2", "x", "1-3", "3", "that", ">=", "9", "short", "-"],
        ["e.f", "12,346", "/s", "1-3", "3", "that", "999"],
    ]
    assert "was" not in report.table(figures)


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    figures = [figure(target=1.0, at_least=False), figure(name="c.d")]

    report.save(figures, tmp_path / "results" / "latest.json")

    assert report.load(tmp_path / "results" / "latest.json") == figures
    stored = json.loads((tmp_path / "results" / "latest.json").read_text())
    assert {"name", "value", "unit", "baseline", "n", "spread"} <= set(stored[0])


@pytest.mark.parametrize("name", sections.SECTIONS)
def test_every_section_is_there(name: str) -> None:
    assert (ROOT / "benchmarks" / f"{name}.py").is_file()


def test_a_section_that_fails_fails_the_run() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.section", "write", "huge"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "is not a valid Scale" in done.stderr
