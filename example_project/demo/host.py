"""The host's processes: gunicorn and a prefork worker, as they run in production, on loopback."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from example_project import gunicorn_conf
from example_project.services.ports import listen
from example_project.services.supervise import Supervised, start

ROOT = Path(__file__).parents[2]
QUEUE = "apple-health-imports"
PROCESSES = 3
"""Of a worker: one more than one user's backfill may keep busy (``DISPATCH_WINDOW``), so that others need not wait."""
WORKER_GRACE = 5.0
"""Seconds a worker gets to finish the chunks it holds."""


@contextmanager
def api() -> Iterator[str]:
    """gunicorn with the example project; its URL. The environment is this process's."""

    def launch(port: int) -> Supervised:
        command = ["-m", "gunicorn", "--config", "python:example_project.gunicorn_conf", "--bind", f"127.0.0.1:{port}"]
        return python(*command, "example_project.wsgi", name="gunicorn", grace=5.0)

    # The port is open before the workers can answer, and the first answers would be slow ones.
    server, port = listen(launch, ready=lambda server, _: log_of(server).count("Worker ready") >= gunicorn_conf.workers)
    with server:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def worker(*, concurrency: int = PROCESSES) -> Iterator[Supervised]:
    """A prefork Celery worker that has connected to the queue."""
    options = ["--concurrency", str(concurrency), "--queues", QUEUE, "--loglevel", "INFO"]
    chatter = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    command = ["-m", "celery", "--app", "example_project.celery", "worker", *options, *chatter]
    with python(*command, name="the Celery worker", grace=WORKER_GRACE) as process:
        process.wait_until(lambda: " ready." in log_of(process))
        yield process


def python(*arguments: str, name: str, grace: float) -> Supervised:
    folder = Path(tempfile.mkdtemp(prefix="healthkit-demo-"))
    return start([sys.executable, *arguments], name=name, log=folder / "log", cwd=ROOT, grace=grace, remove=[folder])


def log_of(process: Supervised) -> str:
    return process.log.read_text(errors="replace")
