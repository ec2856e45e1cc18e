"""The demo as a process: nothing it started survives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parent.parent
SECONDS = 60


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    for name in ("DATABASE_URL", "REDIS_URL", "SQS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    with subprocess.Popen(
        [sys.executable, "-m", "example_project.demo", "--quick"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        yield process
        process.kill()


def is_running(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def words(process: psutil.Process) -> list[str]:
    """Of its command line; none, if it was a short-lived one and has ended by itself."""
    try:
        return [str(word) for word in process.cmdline()]
    except psutil.NoSuchProcess:
        return []


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT], ids=lambda blow: blow.name)
def test_nothing_survives_the_demo(blow: signal.Signals, demo: subprocess.Popen[str]) -> None:
    assert demo.stdout is not None
    seen = ""
    while "posted as" not in seen:
        line = demo.stdout.readline()
        assert line, seen
        seen += line
    started = psutil.Process(demo.pid).children(recursive=True)
    names = " ".join(word for process in started for word in words(process))

    demo.send_signal(blow)
    deadline = time.monotonic() + SECONDS
    while (left := [process for process in started if is_running(process)]) and time.monotonic() < deadline:
        time.sleep(0.1)

    assert not left
    assert {"gunicorn", "celery", "moto.server"} <= set(names.split())
