"""What ``celery -A`` imports; ``conftest.py`` sets the environment."""

from __future__ import annotations

import os

from django_healthkit_ingest.sqs import guards
from tests.sqs.app import build

POLL_MARGIN = 2.0

app = build(os.environ)
guards.install_in_worker(enabled=lambda: "TEST_WITHOUT_GUARDS" not in os.environ, poll_margin=POLL_MARGIN)
