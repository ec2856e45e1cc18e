"""A worker under what ECS is to it: started anew whenever it ends, and ended when it polls no more."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from django_healthkit_ingest.sqs.heartbeat import age
from tests.sqs.worker import Worker, launch

APP = "example_project.celery"
START_SECONDS = 30.0
"""How long a new worker may take to its first heartbeat: the health check's start period."""

MAX_SILENCE = 25.0
"""Seconds without a heartbeat; above the poll's wait and the margin that the guard gives a late answer."""

PAUSE = 1.0
"""Between an end and the next start, so that one that cannot start does not keep the machine busy."""


class Service:
    """Runs from ``with`` on. ``exits`` are the codes of the workers that ended, negative: by that signal."""

    def __init__(self, *, env: Mapping[str, str], folder: Path) -> None:
        self.env = env
        self.folder = folder
        self.heartbeat = folder / "heartbeat"
        self.exits: list[int] = []
        self.unhealthy = 0
        self._is_between = False
        self.worker = self._start()
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="service", daemon=True)

    def __enter__(self) -> Self:
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._watcher.join()
        self.worker.stop()

    @property
    def is_up(self) -> bool:
        """Whether a worker is there that has connected to the broker."""
        return not self._is_between and self.worker.is_ready

    @property
    def log(self) -> str:
        """Of the last workers, the newest at the end."""
        logs = sorted(self.folder.glob("worker-*.log"))[-3:]
        return "\n".join(log.read_text(errors="replace") for log in logs)

    def children(self) -> list[int]:
        try:
            return [child.pid for child in psutil.Process(self.worker.process.pid).children()]
        except psutil.NoSuchProcess:
            return []

    def _start(self) -> Worker:
        self.heartbeat.unlink(missing_ok=True)
        self.started = time.monotonic()
        log = self.folder / f"worker-{len(self.exits):03}.log"
        worker = launch(app=APP, log=log, env={**os.environ, **self.env})
        _ = worker.process.pid  # asked here, so that no other thread listens to the supervisor
        return worker

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            code = self.worker.process.wait(timeout=0)
            if code is not None:
                self._is_between = True
                self.exits.append(code)
                self.worker.stop()
                self._over.wait(PAUSE)
                if not self._over.is_set():
                    self.worker = self._start()
                    self._is_between = False
            elif self._is_silent():
                self.unhealthy += 1
                self.worker.kill()

    def _is_silent(self) -> bool:
        silence = age(self.heartbeat)
        if silence is None:
            return time.monotonic() - self.started > START_SECONDS
        return silence > MAX_SILENCE
