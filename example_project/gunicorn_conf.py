"""``gunicorn --config python:example_project.gunicorn_conf example_project.wsgi``"""

from __future__ import annotations

import os
from typing import Any

bind = os.environ.get("GUNICORN_BIND", "127.0.0.1:8000")
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = 4
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
    from botocore.exceptions import BotoCoreError, ClientError
    from kombu.exceptions import KombuError

    from example_project.celery import app

    try:
        with app.producer_pool.acquire(block=True) as producer:
            connection = producer.connection
            assert connection is not None
            connection.ensure_connection(max_retries=1, timeout=2)
    except (BotoCoreError, ClientError, KombuError, OSError) as error:
        worker.log.warning("The broker cannot be reached yet (%s)", type(error).__name__)
    worker.log.info("Worker ready (pid: %s)", worker.pid)
