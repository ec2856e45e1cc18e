"""The example project's processes, and what its tables hold when they are done."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from django_healthkit_ingest.core.states import FINAL, Status
from django_healthkit_ingest.models import HealthSample, ImportBatch, ImportChunk, RejectedSample
from tests.sqs.front import wait_until
from tests.sqs.worker import ROOT, Worker

SECONDS = 60
"""For what takes a few."""

StartWorker = Callable[[], AbstractContextManager[Worker]]


def manage(*arguments: str) -> str:
    """``manage.py`` of the example project, in the environment of this process; what it printed."""
    command = [sys.executable, "-m", "example_project.manage", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def chunks_of(user: Any, *statuses: Status) -> int:
    return ImportChunk.objects.filter(user_id=user.pk, status__in=statuses).count()


def is_done(user: Any) -> bool:
    return not ImportBatch.objects.filter(user_id=user.pk).exclude(status__in=FINAL).exists()


def sees_it_through(user: Any) -> bool:
    return wait_until(lambda: is_done(user), timeout=SECONDS)


def rows_of(user: Any) -> Counter[tuple[Any, ...]]:
    """Every stored sample with all that it says, without the keys that differ between two runs."""
    columns = (
        *("type__identifier", "uuid", "fingerprint", "fp_seq", "rank", "start", "end", "value", "category"),
        *("raw_unit", "time_zone", "zone_basis", "metadata", "details"),
        *("source__name", "source__bundle_id", "source__version", "source__product_type"),
    )
    rows = HealthSample.objects.for_user(user).values_list(*columns)
    return Counter(tuple(str(value) for value in row) for row in rows)


def books_of(user: Any) -> list[tuple[Any, ...]]:
    """How each import ended, in the order they were sent."""
    batches = ImportBatch.objects.filter(user_id=user.pk).order_by("pk")
    terms = ("status", "received", "rejected", "deletion", "failed", "chunk_count")
    return list(batches.values_list(*terms))


def rejections_of(user: Any) -> Counter[tuple[Any, ...]]:
    rejected = RejectedSample.objects.filter(chunk__user_id=user.pk)
    return Counter(rejected.values_list("chunk__section", "index", "field", "code"))
