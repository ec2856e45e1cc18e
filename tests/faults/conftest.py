from __future__ import annotations

import os

import pytest
from django.db import connection

from tests.acceptance.conftest import redis_server
from tests.faults.drill import Outcome
from tests.sqs.conftest import emulator

__all__ = ["emulator", "redis_server"]

ALL = os.environ.get("HEALTHKIT_FAULTS") == "all"
"""Everything, as ``make faults`` does it, or the slice of ``make test``."""

TABLE = "{:<24} {:<12} {:>4}  {:<34} {:>7}  {}"

outcomes: list[Outcome] = []
storms: list[str] = []


@pytest.fixture(scope="session")
def test_database(django_db_setup: None) -> None:
    """The processes of a module live as long as the module; the rows of a test only as long as the test."""
    if connection.vendor != "postgresql":
        pytest.skip("several processes at once in one database: the faults run on PostgreSQL")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if outcomes:
        terminalreporter.write_sep("-", "faults")
        terminalreporter.write_line(TABLE.format("action", "fault", "met", "the worker", "seconds", "the table"))
        for outcome in sorted(outcomes, key=lambda each: each.drill.id):
            terminalreporter.write_line(line(outcome))
    for storm in sorted(storms):
        terminalreporter.write_line(storm)


def line(outcome: Outcome) -> str:
    drill = outcome.drill
    fate = fate_of(outcome)
    verdict = "right" if outcome.is_right else "WRONG"
    return TABLE.format(drill.action, drill.fault.name, outcome.met, fate, f"{outcome.seconds:.0f}", verdict)


def fate_of(outcome: Outcome) -> str:
    if not outcome.exits:
        return "went on"
    codes = ", ".join(str(code) for code in outcome.exits)
    by_check = f" ({outcome.unhealthy} by health check)" if outcome.unhealthy else ""
    return f"started anew after exit {codes}{by_check}"
