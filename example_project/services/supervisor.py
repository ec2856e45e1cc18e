"""Runs commands one after another for a parent that may vanish, and leaves nothing behind.

A script of its own, started as ``python -I -S supervisor.py '<plan>'`` (standard library only). Standard input is the
read end of a pipe whose write end only the parent holds: the end of that file, clean exit or ``kill -9`` alike, is the
order to stop. On Linux the children also get SIGKILL if this very process dies, and orphans of the command come back
here, so that they can be killed too; elsewhere the pipe and the process group do the work.

Standard output speaks to the parent: ``started <pid>`` for the last command of the plan, ``exited <code>`` when it (or
an earlier one that failed) is over. The commands write to standard error, which is the service's log.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

LIFELINE = 0
ON_LINUX = sys.platform == "linux"


class Orphaned(Exception):
    """The parent closed its end of the pipe, or asked for the end by a signal."""


class Supervisor:
    def __init__(self, plan: dict[str, object]) -> None:
        self.commands: list[list[str]] = plan["commands"]  # type: ignore[assignment]
        self.credentials: dict[str, object] = plan["credentials"]  # type: ignore[assignment]
        self.stop_signal = int(str(plan["stop_signal"]))
        self.grace = float(str(plan["grace"]))
        self.remove: list[str] = plan["remove"]  # type: ignore[assignment]
        self.asked_to_stop = False
        self.wake, wake_writer = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(wake_writer, False)
        signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ask_to_stop)
        self.before_exec = tie_to_this_process() if ON_LINUX else None

    def _ask_to_stop(self, *_: object) -> None:
        self.asked_to_stop = True

    def run(self) -> None:
        try:
            for command in self.commands:
                child = self._start(command)
                if command is self.commands[-1]:
                    tell(f"started {child.pid}")
                code = self._watch(child)
                if code != 0 or command is self.commands[-1]:
                    tell(f"exited {code}")
                    break
            while True:  # the log and the folders belong to the parent until it lets go
                self._wait(None)
        except Orphaned:
            pass
        finally:
            for folder in self.remove:
                shutil.rmtree(folder, ignore_errors=True)

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        child: subprocess.Popen[bytes] = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            stderr=sys.stderr.fileno(),
            start_new_session=True,
            preexec_fn=self.before_exec,
            **self.credentials,  # type: ignore[call-overload]
        )
        return child

    def _watch(self, child: subprocess.Popen[bytes]) -> int:
        """The command's exit code; whatever ends this, no process of the command is alive afterwards."""
        try:
            while child.returncode is None:
                self._wait(None)
                self._reap(child)
        except Orphaned:
            self._stop(child)
            raise
        finally:
            kill_group(child.pid)
            self._kill_orphans(child)
        return child.returncode

    def _stop(self, child: subprocess.Popen[bytes]) -> None:
        """To the command itself and not to its group: Celery and PostgreSQL wind up their own children."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, self.stop_signal)
        deadline = time.monotonic() + self.grace
        while child.returncode is None and time.monotonic() < deadline:
            select.select([self.wake], [], [], min(0.05, self.grace))
            self._reap(child)

    def _wait(self, timeout: float | None) -> None:
        readable, _, _ = select.select([LIFELINE, self.wake], [], [], timeout)
        if self.wake in readable:
            os.read(self.wake, 4096)
        if self.asked_to_stop or (LIFELINE in readable and not os.read(LIFELINE, 4096)):
            raise Orphaned

    def _reap(self, child: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == child.pid:
                    child.returncode = os.waitstatus_to_exitcode(status)

    def _kill_orphans(self, child: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self.grace
        while time.monotonic() < deadline:
            self._reap(child)
            remaining = adopted_children()
            if not remaining:
                return
            for pid in remaining:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)


def tie_to_this_process() -> Callable[[], None]:
    """Adopt orphans, and answer what a child must run before exec to die with this process.

    The kernel forgets the death signal when the user changes; ``preexec_fn`` runs after that change.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    supervisor = os.getpid()

    def die_with_supervisor() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != supervisor:
            os._exit(1)

    return die_with_supervisor


def adopted_children() -> list[int]:
    """Linux only; an unreadable list (a kernel without it) is an empty one, the process group is killed anyhow."""
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return []


def kill_group(leader: int) -> None:
    # macOS answers EPERM for a group that holds only zombies.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def tell(line: str) -> None:
    # The parent may be gone already; the end of the pipe will say so.
    with contextlib.suppress(BrokenPipeError):
        os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    Supervisor(json.loads(sys.argv[1])).run()
