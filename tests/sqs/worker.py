"""A real ``celery worker`` with prefork children, to be broken in tests."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from example_project.services.supervise import Supervised, start

ROOT = Path(__file__).resolve().parents[2]
READY = " ready."


class Worker:
    def __init__(self, process: Supervised) -> None:
        self.process = process

    @property
    def log(self) -> str:
        return self.process.log.read_text(errors="replace")

    @property
    def is_running(self) -> bool:
        return self.process.is_running

    @property
    def is_ready(self) -> bool:
        return READY in self.log

    def kill(self) -> None:
        """-9 to the worker and all its children at once, as when a container vanishes."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)

    def stop(self) -> None:
        self.process.stop()


@contextmanager
def worker(
    *,
    app: str,
    log: Path,
    env: Mapping[str, str],
    concurrency: int = 2,
    arguments: tuple[str, ...] = (),
) -> Iterator[Worker]:
    """Ready to receive on entry; gone with its children on exit. ``env`` is laid over ours."""
    running = launch(app=app, log=log, env=env, concurrency=concurrency, arguments=arguments)
    with running.process:
        running.process.wait_until(lambda: running.is_ready)
        yield running


def launch(
    *,
    app: str,
    log: Path,
    env: Mapping[str, str],
    concurrency: int = 2,
    arguments: tuple[str, ...] = (),
) -> Worker:
    """The same, at once: it may never be ready. The caller stops it."""
    command = [
        sys.executable,
        *("-m", "celery", "-A", app, "worker", "--pool", "prefork", "--concurrency", str(concurrency)),
        *("--loglevel", "info", "--without-gossip", "--without-mingle", "--without-heartbeat", *arguments),
    ]
    process = start(
        command,
        name=f"celery worker of {app}",
        log=log,
        env={**os.environ, **env, "PYTHONUNBUFFERED": "1"},
        cwd=ROOT,
        grace=5.0,
    )
    return Worker(process)
