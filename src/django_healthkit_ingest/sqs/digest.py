"""Whether api and worker run with the same settings: each worker leaves a digest of its own in the host's cache."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import asdict

from celery.signals import worker_ready
from django.core.cache import caches
from django.utils import timezone

from django_healthkit_ingest import __version__
from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.pipeline.doctor import Finding, cure, is_process_local_cache, ok, skipped
from django_healthkit_ingest.sqs.broker import broker, deliveries, hard_time_limit, read_by_a_worker

logger = logging.getLogger("django_healthkit_ingest")

KEY = "healthkit_ingest.worker_digest"
PER_PROCESS = frozenset({"heartbeat_file"})


def digest() -> str:
    """Of ``HEALTHKIT_INGEST`` as it is in effect, of how our messages travel, and of this package's version."""
    told = broker()
    effective = {
        "version": __version__,
        "settings": {name: value for name, value in asdict(get_settings()).items() if name not in PER_PROCESS},
        "broker": told.transport,
        "queues": {name: queue.get("url") for name, queue in told.predefined.items()},
        "read": sorted(read_by_a_worker()),
        "tasks": [asdict(delivery) for delivery in deliveries()],
        "time_limit": hard_time_limit(),
    }
    return hashlib.sha256(json.dumps(effective, sort_keys=True, default=str).encode()).hexdigest()[:12]


def remember_in_worker() -> None:
    """If this process becomes a Celery worker. In a thread: a cache that hangs is no reason to receive nothing."""

    def remember(**kwargs: object) -> None:
        threading.Thread(target=leave, name="healthkit-ingest-digest", daemon=True).start()

    worker_ready.connect(remember, weak=False, dispatch_uid="django_healthkit_ingest.sqs.digest")


def leave() -> None:
    """Of the worker that started last: for the doctor, so a cache that is away loses a line of his and nothing else."""
    try:
        caches["default"].set(KEY, [digest(), timezone.now().isoformat(timespec="seconds")], timeout=None)
    except Exception as error:  # noqa: BLE001 - caches raise what they like
        logger.warning("The worker's settings digest could not be left in the cache (%s).", type(error).__name__)


def compare() -> Iterator[Finding]:
    mine = digest()
    if is_process_local_cache():
        yield skipped("settings", f"digest {mine}; without a shared cache compare it with --digest in the worker")
        return
    left = caches["default"].get(KEY)
    if left is None:
        yield skipped("settings", f"digest {mine}; no worker has left its own in this cache")
    elif left[0] == mine:
        yield ok("settings", f"digest {mine}, as in the worker that started at {left[1]}")
    else:
        yield cure(
            "settings",
            f"Deploy one image to all services: the digest here is {mine}, in the worker that started at {left[1]} "
            f"it is {left[0]}.",
        )
