"""Transient, permanent, deadly: how each kind of trouble ends with the real worker."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from django_healthkit_ingest import queues
from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import ImportBatch, ImportChunk, database
from django_healthkit_ingest.pipeline.accept import accept
from django_healthkit_ingest.pipeline.failures import BACKOFF
from django_healthkit_ingest.pipeline.store.locks import Scope, lock_user
from django_healthkit_ingest.testing import healthkit_body
from example_project.services.queues import Queue, message_count
from example_project.services.sqs import SQS
from tests.acceptance.road import SECONDS, StartWorker, manage, sees_it_through
from tests.poison import KILLS, records
from tests.settings_poisonous import HEALTHKIT_INGEST
from tests.sqs.front import Front, wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def small_chunks(environment: dict[str, str], settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of two records, tried twice; who waits for a lock waits a second."""
    settings.HEALTHKIT_INGEST = {**HEALTHKIT_INGEST, "CHUNK_SIZE": 2, "MAX_ATTEMPTS": 2}
    monkeypatch.setenv("TEST_HEALTHKIT_INGEST", json.dumps(settings.HEALTHKIT_INGEST))
    monkeypatch.setenv("TEST_MEDIA_ROOT", str(tmp_path))
    environment["DATABASE_URL"] += "?options=-c%20lock_timeout%3D1000"


@pytest.fixture
def take(user_factory: Callable[[], Any]) -> Callable[..., ImportBatch]:
    """Accept records for a new user, and leave the sending to sweep."""

    def accept_only(**poison: float) -> ImportBatch:
        with queues.captured():
            return accept(healthkit_body(*records(4, **poison)), user=user_factory())

    return accept_only


def outcome(batch: ImportBatch) -> tuple[Any, ...]:
    batch.refresh_from_db()
    return batch.status, batch.inserted, batch.failed, batch.rejected


def codes(batch: ImportBatch) -> list[str]:
    return list(batch.chunks.order_by("index").values_list("error_code", flat=True))


def test_each_kind_of_trouble_ends_as_it_should(
    small_chunks: None,
    take: Callable[..., ImportBatch],
    front: Front,
    emulator: SQS,
    queue: Queue,
    start_worker: StartWorker,
) -> None:
    locked, purged, poisoned = take(), take(), take(at_3=KILLS)
    ImportChunk.objects.filter(batch=purged, index=0).update(payload=None)
    postponed = ImportChunk.objects.filter(batch=locked, not_before__isnull=False, status=Status.PENDING)
    with start_worker() as worker:
        with transaction.atomic(using=database()):
            lock_user(locked.user_id, scope=Scope.SAMPLES, using=database())
            manage("healthkit_ingest_sweep")
            put_back = wait_until(lambda: postponed.count() == 2, timeout=SECONDS)
        done = [sees_it_through(batch.user) for batch in (locked, purged, poisoned)]
        ended = [outcome(batch) for batch in (locked, purged, poisoned)]
        failed_with = codes(purged) + codes(poisoned)
        bisected = json.loads(manage("healthkit_ingest_replay", "--bisect", "--batch", str(poisoned.uuid), "--json"))
        done_again = sees_it_through(poisoned.user)
        empty = wait_until(lambda: message_count(emulator, url=queue.url) == 0, timeout=SECONDS)

    assert put_back, worker.log
    assert done == [True, True, True], worker.log
    sent = [call.parameters for call in front.calls if call.action == "SendMessage"]
    delays = [parameters["DelaySeconds"] for parameters in sent if parameters.get("DelaySeconds")]
    assert len(delays) == 2
    assert all(0.7 * BACKOFF[0].total_seconds() <= delay <= 1.2 * BACKOFF[0].total_seconds() for delay in delays)
    assert ended == [
        (Status.COMPLETED, 4, 0, 0),
        (Status.FAILED, 2, 2, 0),
        (Status.FAILED, 2, 2, 0),
    ]
    assert failed_with == ["payload_unavailable", "", "", "attempts_exhausted"]
    assert [chunk["set_aside"] for chunk in bisected["chunks"]] == [[3]]
    assert done_again, worker.log
    assert outcome(poisoned) == (Status.COMPLETED, 3, 0, 1)
    assert empty, worker.log
    assert message_count(emulator, url=queue.dead_letter_url) == 0
