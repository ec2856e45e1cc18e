"""What ``celery -A`` imports; ``conftest.py`` sets the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery.signals import worker_ready

from django_healthkit_ingest.sqs import guards, heartbeat
from tests.sqs.app import build

POLL_MARGIN = 2.0

app = build(os.environ)
guards.install_in_worker(enabled=lambda: "TEST_WITHOUT_GUARDS" not in os.environ, poll_margin=POLL_MARGIN)

if "TEST_HEARTBEAT" in os.environ:
    heartbeat.install_in_worker(file=lambda: Path(os.environ["TEST_HEARTBEAT"]))

if "TEST_TIMER" in os.environ:

    @worker_ready.connect(weak=False)
    def show_the_timer(*, sender: Any, **kwargs: object) -> None:
        heartbeat.beat_with_timer(heartbeat.beating(Path(os.environ["TEST_TIMER"])), timer=sender.timer)
