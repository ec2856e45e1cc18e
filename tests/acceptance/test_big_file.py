"""An export far larger than a worker's memory may grow, with the worker killed in the middle of it.

HEALTHKIT_EXPORT_MEGABYTES says how large; the memory that is allowed does not depend on it.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest

from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import HealthSample, ImportBatch, ImportUpload
from example_project.services.queues import Queue, create_queue
from example_project.services.sqs import SQS
from tests.acceptance.broker import only_on_sqs
from tests.acceptance.road import StartWorker, is_done, manage
from tests.export_file import write_export
from tests.sqs.front import wait_until
from tests.sqs.worker import Worker

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]

MEGABYTES = int(os.environ.get("HEALTHKIT_EXPORT_MEGABYTES", "24"))
ALLOWED_MEGABYTES = 256
"""Of each process of the worker; it starts with some 110."""

SECONDS = 120 + 4 * MEGABYTES

READING_SECONDS = 3
"""How long the storage takes for the whole file, so that a worker can be caught in the middle."""

VISIBILITY_TIMEOUT = 12 if MEGABYTES < 100 else 120
"""Above what a step of the file lasts: a queue that gives a message out again too soon ends in its dead letters."""


@pytest.fixture
def queue(emulator: SQS) -> Queue:
    only_on_sqs()
    return create_queue(emulator, name=f"test-{uuid4().hex}", visibility_timeout=VISIBILITY_TIMEOUT)


@contextmanager
def watched(worker: Worker) -> Iterator[list[int]]:
    """The largest resident size seen of any of the worker's processes, in megabytes."""
    peak = [0]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            try:
                parent = psutil.Process(worker.process.pid)
                sizes = [each.memory_info().rss for each in (parent, *parent.children())]
            except psutil.NoSuchProcess:
                continue
            peak[0] = max(peak[0], *(size // 10**6 for size in sizes))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def test_a_killed_import_of_a_big_file_is_resumed_in_bounded_memory(
    environment: dict[str, str],
    start_worker: StartWorker,
    user: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEST_HEALTHKIT_INGEST", json.dumps({"CHUNK_SIZE": 1000, "DISPATCH_WINDOW": 1}))
    monkeypatch.setenv("TEST_MEDIA_ROOT", str(tmp_path / "media"))
    monkeypatch.setenv("TEST_STALE_AFTER", "0.5")
    monkeypatch.setenv("TEST_STORAGE_BYTES_PER_SECOND", str(MEGABYTES * 10**6 / READING_SECONDS))
    export = tmp_path / "export.xml"
    records = write_export(export, size=MEGABYTES * 10**6)
    started = time.monotonic()

    with start_worker() as worker, watched(worker) as first_peak:
        manage("healthkit_ingest_import", str(export), "--user", str(user.pk), "--json")
        begun = wait_until(lambda: ImportBatch.objects.get().chunk_count > 0, timeout=SECONDS)
        worker.kill()
        at_the_blow = ImportUpload.objects.select_related("batch").get()
    with start_worker() as another, watched(another) as second_peak:
        manage("healthkit_ingest_sweep")  # the blow may have fallen between a chunk's row and its message
        done = wait_until(lambda: is_done(user), timeout=SECONDS)

    peak = max(*first_peak, *second_peak)
    seconds = time.monotonic() - started
    print(f"{MEGABYTES} MB, {records} records: {seconds:.0f} s, at most {peak} MB in one process")  # noqa: T201
    batch = ImportBatch.objects.get()
    assert begun, worker.log
    assert at_the_blow.finished_at is None
    assert 0 < at_the_blow.position["bytes"] < at_the_blow.size
    assert done, another.log
    assert (batch.status, batch.received, batch.inserted) == (Status.COMPLETED, records, records)
    assert HealthSample.objects.for_user(user).count() == records
    assert not [*(tmp_path / "media").rglob("*-*")]
    assert peak < ALLOWED_MEGABYTES
