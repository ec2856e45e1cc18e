"""The example project in small: little chunks, and a broker that does not make tests wait."""

from __future__ import annotations

import json
import os
from typing import Any

from example_project import settings as host
from example_project.settings import *  # noqa: F403

HEALTHKIT_INGEST: dict[str, Any] = {"CHUNK_SIZE": 60, **json.loads(os.environ.get("TEST_HEALTHKIT_INGEST", "{}"))}

MEDIA_ROOT = os.environ.get("TEST_MEDIA_ROOT", os.devnull)

PRODUCTION_OPTIONS: dict[str, Any] = vars(host)["CELERY_BROKER_TRANSPORT_OPTIONS"]
CELERY_BROKER_TRANSPORT_OPTIONS = {**PRODUCTION_OPTIONS, "wait_time_seconds": 1, "polling_interval": 0.1}

if "TEST_TASK_ROUTES" in os.environ:
    CELERY_TASK_ROUTES: dict[str, Any] = json.loads(os.environ["TEST_TASK_ROUTES"])
    others = {route["queue"]: {"url": os.environ["TEST_OTHER_QUEUE_URL"]} for route in CELERY_TASK_ROUTES.values()}
    CELERY_TASK_QUEUES: dict[str, Any] = {name: {} for name in (*PRODUCTION_OPTIONS["predefined_queues"], *others)}
    CELERY_BROKER_TRANSPORT_OPTIONS["predefined_queues"] = {**PRODUCTION_OPTIONS["predefined_queues"], **others}
