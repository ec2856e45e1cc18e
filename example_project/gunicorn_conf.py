"""``gunicorn --config python:example_project.gunicorn_conf example_project.wsgi``"""

from __future__ import annotations

import os
from typing import Any

bind = os.environ.get("GUNICORN_BIND", "127.0.0.1:8000")
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
# A request waits for PostgreSQL and the broker most of its time. Each thread keeps a database connection.
threads = 4
# Phones that wait for a thread; beyond it they are refused. The kernel's net.core.somaxconn must be as large.
backlog = 2048
# Imported once, before the workers fork.
preload_app = True
timeout = 30
# Shutdown waits for requests that are being answered; a phone then never has to guess whether its data arrived.
graceful_timeout = 30
# No second door into the process.
control_socket_disable = True


def post_worker_init(worker: Any) -> None:
    """Connect to the broker before the first request does: boto3 takes the better part of a second to begin.

    A broker that is away is no reason not to serve: requests are answered without it, and sweep sends later.
    """
    from django_healthkit_ingest.queues import connect

    if not connect():
        worker.log.warning("The broker cannot be reached yet")
    worker.log.info("Worker ready (pid: %s)", worker.pid)
