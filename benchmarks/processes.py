"""What each kind of process that this one has started spends on the processor."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil

KINDS = {"moto.server": "moto", "postgres": "postgresql", "gunicorn": "gunicorn", "celery": "worker"}
"""A word of the command line, and whose it is."""


def cpu_seconds() -> Counter[str]:
    """Of the processor, by kind and so far: of those that live, and of their children that have ended."""
    seconds: Counter[str] = Counter()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            kind = _kind(process.cmdline())
            if kind is not None:
                seconds[kind] += sum(process.cpu_times()[:4])  # user, system, and both of its children
    return seconds


def peak_below(pid: int) -> int:
    """Kilobytes: the most resident memory that any one process which this one has started has had so far."""
    return max(peak(each.pid) for each in psutil.Process(pid).children(recursive=True))


def peak(pid: int) -> int:
    """Kilobytes, of the process itself. Linux only."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def _kind(command: list[str]) -> str | None:
    if any(word.endswith("supervisor.py") for word in command):
        return None
    line = " ".join(command)
    return next((kind for word, kind in KINDS.items() if word in line), None)
