"""The example project in small: little chunks, and a broker that does not make tests wait."""

from __future__ import annotations

import json
import os
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from example_project import settings as host
from example_project.settings import *  # noqa: F403

HEALTHKIT_INGEST = {
    **host.HEALTHKIT_INGEST,
    "CHUNK_SIZE": 60,
    **json.loads(os.environ.get("TEST_HEALTHKIT_INGEST", "{}")),
}

if "TEST_STALE_AFTER" in os.environ:
    HEALTHKIT_INGEST["STALE_AFTER"] = timedelta(seconds=float(os.environ["TEST_STALE_AFTER"]))

MEDIA_ROOT = os.environ.get("TEST_MEDIA_ROOT") or str(Path(tempfile.gettempdir(), "healthkit-no-files"))

if "TEST_STORAGE_BYTES_PER_SECOND" in os.environ:
    STORAGES = {
        "default": {"BACKEND": "tests.slow_storage.SlowStorage"},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }

# What a killed worker had is to come back in seconds, not in the minutes that these two checks ask for.
SILENCED_SYSTEM_CHECKS = ["healthkit_ingest.E016", "healthkit_ingest.W001"]

PRODUCTION_OPTIONS: dict[str, Any] = vars(host).get("CELERY_BROKER_TRANSPORT_OPTIONS", {})
if PRODUCTION_OPTIONS:
    CELERY_BROKER_TRANSPORT_OPTIONS = {**PRODUCTION_OPTIONS, "wait_time_seconds": 1, "polling_interval": 0.1}
else:  # Redis
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "visibility_timeout": 4,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    }

if "TEST_SOFT_SHUTDOWN_TIMEOUT" in os.environ:
    CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = float(os.environ["TEST_SOFT_SHUTDOWN_TIMEOUT"])

if "TEST_TASK_ROUTES" in os.environ:
    CELERY_TASK_ROUTES: dict[str, Any] = json.loads(os.environ["TEST_TASK_ROUTES"])
    others = {route["queue"]: {"url": os.environ["TEST_OTHER_QUEUE_URL"]} for route in CELERY_TASK_ROUTES.values()}
    CELERY_TASK_QUEUES: dict[str, Any] = {name: {} for name in (*PRODUCTION_OPTIONS["predefined_queues"], *others)}
    CELERY_BROKER_TRANSPORT_OPTIONS["predefined_queues"] = {**PRODUCTION_OPTIONS["predefined_queues"], **others}
