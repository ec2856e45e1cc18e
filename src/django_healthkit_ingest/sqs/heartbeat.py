"""A file that a worker touches each time its poll loop comes round, and the check of its age.

``python -m django_healthkit_ingest.sqs.heartbeat --max-age 90`` is for a container's health check: it loads neither
Django nor Celery.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

logger = logging.getLogger("django_healthkit_ingest")

DEFAULT_FILE = Path(tempfile.gettempdir()) / "healthkit-ingest-heartbeat"
INTERVAL = 1.0
"""Seconds between two touches, at least."""

MAX_AGE = 90.0
"""Above ``wait_time_seconds`` (at most 20), the guard's margin for an answer that is late, and a busy machine."""


def chosen_file(setting: str | Path | None) -> Path | None:
    """What ``HEARTBEAT_FILE`` means."""
    if setting is None:
        return DEFAULT_FILE
    return Path(setting) if setting else None


def beating(file: Path) -> Callable[[], None]:
    """A function that touches the file, at most once a second. It never raises: a full disk must not end a worker."""
    last = float("-inf")
    failed = False

    def beat() -> None:
        nonlocal last, failed
        now = time.monotonic()
        if now - last < INTERVAL:
            return
        last = now
        try:
            file.touch(mode=0o600)
        except OSError as error:
            if not failed:
                logger.warning("The heartbeat file cannot be written (%s).", error.strerror)
            failed = True
        else:
            failed = False

    return beat


def age(file: Path) -> float | None:
    """Seconds since the last beat, or None if there has been none."""
    try:
        return max(0.0, time.time() - file.stat().st_mtime)
    except OSError:
        return None


def verdict(file: Path, *, max_age: float) -> tuple[bool, str]:
    """Whether the worker is healthy, and a sentence for the log of the container's host."""
    seconds = age(file)
    if seconds is None:
        return False, "No heartbeat yet: no worker has polled here, or HEARTBEAT_FILE names another file."
    if seconds > max_age:
        return False, f"The last heartbeat was {seconds:.0f} seconds ago: the worker polls no more. Restart it."
    return True, f"The last heartbeat was {seconds:.0f} seconds ago."


def install_in_worker(*, file: Callable[[], Path | None]) -> None:
    """Have this process touch a file if it becomes a Celery worker; ``file`` is asked then, None is for no heartbeat.

    On SQS the poll loop does it. kombu's other transports have no such loop, so there it is a timer, which shows no
    more than that the worker's event loop lives.
    """
    signals: Any = import_module("celery.signals")

    def install_on_sqs(*, instance: Any, **kwargs: object) -> None:
        chosen = file()
        if chosen is not None and _is_on_sqs(instance.app):
            try:
                beat_with_poll(beating(chosen))
            except AttributeError:
                logger.warning("kombu's SQS transport has changed: the heartbeat shows a timer, not the poll loop.")

    def install_elsewhere(*, sender: Any, **kwargs: object) -> None:
        chosen = file()
        if chosen is not None and not (_is_on_sqs(sender.app) and beats_with_poll()):
            beat_with_timer(beating(chosen), timer=sender.timer)

    uid = "django_healthkit_ingest.sqs.heartbeat"
    signals.celeryd_after_setup.connect(install_on_sqs, weak=False, dispatch_uid=uid)
    signals.worker_ready.connect(install_elsewhere, weak=False, dispatch_uid=uid)


def beat_with_poll(beat: Callable[[], None]) -> None:
    """Beat when every queue of the worker has been polled since the last beat, or had to wait for a busy worker.

    kombu calls ``_loop1`` after each answer, also an empty or a failed one, and before it polls again.
    """
    original = _channel()._loop1
    polled: set[str] = set()

    @wraps(original)
    def _loop1(self: Any, queue: str, *args: Any, **kwargs: Any) -> Any:
        polled.add(queue)
        if polled.issuperset(self._active_queues):
            polled.clear()
            beat()
        return original(self, queue, *args, **kwargs)

    vars(_loop1)["beats"] = True
    _channel()._loop1 = _loop1


def beats_with_poll() -> bool:
    return hasattr(getattr(_channel(), "_loop1", None), "beats")


def beat_with_timer(beat: Callable[[], None], *, timer: Any) -> None:
    beat()
    timer.call_repeatedly(INTERVAL, beat)


def _is_on_sqs(app: Any) -> bool:
    return bool(app.connection_for_read().get_transport_cls().driver_type == "sqs")


def _channel() -> Any:
    return import_module("kombu.transport.SQS").Channel


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 for a worker that polls, 1 for one that does not."""
    parser = argparse.ArgumentParser(
        prog="python -m django_healthkit_ingest.sqs.heartbeat", description="Is the worker polling?"
    )
    parser.add_argument("--max-age", type=float, default=MAX_AGE, metavar="SECONDS", help="default: %(default)s")
    parser.add_argument("--file", type=Path, default=DEFAULT_FILE, help="HEARTBEAT_FILE; default: %(default)s")
    options = parser.parse_args(arguments)
    is_healthy, sentence = verdict(options.file, max_age=options.max_age)
    sys.stdout.write(sentence + "\n")
    return 0 if is_healthy else 1


if __name__ == "__main__":
    sys.exit(main())
