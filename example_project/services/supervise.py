"""The parent's side of ``supervisor.py``: start a process that cannot outlive us."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from example_project.services.errors import ServiceFailed

SUPERVISOR = Path(__file__).with_name("supervisor.py")
POLL_SECONDS = 0.03
START_SECONDS = 60.0
LOG_TAIL_LINES = 15


class Supervised:
    """A running command; leaving the ``with`` block, or the death of this process, ends it and all it started."""

    def __init__(self, supervisor: subprocess.Popen[bytes], *, name: str, log: Path, grace: float) -> None:
        assert supervisor.stdin is not None and supervisor.stdout is not None
        self.name = name
        self.log = log
        self._supervisor = supervisor
        self._lifeline = supervisor.stdin
        self._status = supervisor.stdout
        self._said = ""
        self._grace = grace

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Of the command itself, not of its supervisor. Waits while the commands before it run."""
        while (found := re.search(r"^started (\d+)$", self._said, re.MULTILINE)) is None:
            if self._exit_code() is not None or not self._listen(timeout=START_SECONDS):
                raise ServiceFailed(f"{self.name} did not start.\n{self.log_tail()}")
        return int(found[1])

    @property
    def is_running(self) -> bool:
        return self.wait(timeout=0) is None

    def wait(self, *, timeout: float) -> int | None:
        """The exit code (negative: killed by that signal), or None if it is still running after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while (code := self._exit_code()) is None:
            if not self._listen(timeout=max(0.0, deadline - time.monotonic())):
                return None
        return code

    def _listen(self, *, timeout: float) -> bool:
        if not select.select([self._status], [], [], timeout)[0]:
            return False
        self._said += os.read(self._status.fileno(), 4096).decode()
        return True

    def _exit_code(self) -> int | None:
        if (found := re.search(r"^exited (-?\d+)$", self._said, re.MULTILINE)) is not None:
            return int(found[1])
        return self._supervisor.poll()

    def wait_until(self, ready: Callable[[], bool], *, timeout: float = START_SECONDS) -> None:
        """Raises ServiceFailed with the end of the log when the command ends or ``timeout`` seconds have passed."""
        deadline = time.monotonic() + timeout
        while not ready():
            if (code := self.wait(timeout=0)) is not None:
                raise ServiceFailed(f"{self.name} ended with code {code} while starting.\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ServiceFailed(f"{self.name} was not ready after {timeout:.0f} s.\n{self.log_tail()}")
            time.sleep(POLL_SECONDS)

    def send_signal(self, number: int) -> None:
        """To the command itself, not to its children."""
        os.kill(self.pid, number)

    def stop(self) -> None:
        """Idempotent. Asks with the stop signal, kills after the grace time, returns when nothing is left."""
        with contextlib.suppress(BrokenPipeError):
            self._lifeline.close()
        try:
            self._supervisor.wait(timeout=2 * self._grace + 10)
        except subprocess.TimeoutExpired:
            self._supervisor.kill()
            self._supervisor.wait()
        self._status.close()

    def log_tail(self) -> str:
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
        except FileNotFoundError:
            return "(no log)"


def start(
    command: Sequence[str | os.PathLike[str]],
    *,
    name: str,
    log: Path,
    before: Sequence[Sequence[str | os.PathLike[str]]] = (),
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: int | None = None,
    group: int | None = None,
    stop_signal: int = signal.SIGTERM,
    grace: float = 3.0,
    remove: Sequence[Path] = (),
) -> Supervised:
    """Start ``command``, after the commands in ``before`` have each ended with 0.

    ``env`` is the whole environment (default: ours). ``user`` and ``group`` need root. ``remove``: folders to delete
    once the command is dead, whoever killed it. Returns at once; the command may still be waiting for ``before``.
    """
    credentials: dict[str, object] = {} if user is None else {"user": user, "group": group, "extra_groups": []}
    plan = {
        "commands": [[os.fspath(word) for word in words] for words in (*before, command)],
        "credentials": credentials,
        "stop_signal": int(stop_signal),
        "grace": grace,
        "remove": [os.fspath(folder) for folder in remove],
    }
    with log.open("ab") as sink:
        supervisor = subprocess.Popen(
            [sys.executable, "-I", "-S", SUPERVISOR, json.dumps(plan)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sink,
            env=None if env is None else dict(env),
            cwd=cwd,
            # Ctrl-C reaches the foreground group only: stopping in the right order is our task, not the terminal's.
            start_new_session=True,
        )
    return Supervised(supervisor, name=name, log=log, grace=grace)
