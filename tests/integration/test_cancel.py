"""Taking back a file while it is being cut into chunks; what is sent as a body is in ``tests/adapters``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile

from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import HealthSample, ImportBatch, ImportUpload, database
from django_healthkit_ingest.pipeline import cut as cut_module
from django_healthkit_ingest.pipeline import split as split_module
from django_healthkit_ingest.pipeline.cancel import cancel
from django_healthkit_ingest.pipeline.files import FOLDER, file_storage
from django_healthkit_ingest.pipeline.process import process
from django_healthkit_ingest.pipeline.retry import retry
from django_healthkit_ingest.pipeline.split import split
from django_healthkit_ingest.pipeline.status import BatchStatus
from django_healthkit_ingest.pipeline.upload import accept_upload
from tests.line_format import SETTING, lines

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture
def batch(settings: Any, tmp_path: Path, user: Any, messages: Any) -> ImportBatch:
    """A file of four records, of which no step is taken."""
    settings.HEALTHKIT_INGEST = SETTING
    settings.MEDIA_ROOT = str(tmp_path)
    return accept_upload(ContentFile(lines(4)), user=user)


def step(batch: ImportBatch, *, task_id: str = "task") -> None:
    split(upload_id=ImportUpload.objects.using(database()).get(batch=batch).pk, task_id=task_id)


def is_cancelled(status: BatchStatus) -> bool:
    return status.status == Status.FAILED and status.error is not None and status.error.code == "cancelled"


def test_a_file_that_was_not_cut_is_gone(batch: ImportBatch, user: Any) -> None:
    assert is_cancelled(cancel(user=user, import_id=batch.uuid))

    step(batch)
    assert not batch.chunks.exists()
    assert file_storage().listdir(FOLDER)[1] == []


def test_what_was_cut_is_cancelled_and_no_step_follows(
    batch: ImportBatch, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(split_module, "STEP_SHARE_OF_LEASE", 0.0)
    step(batch)
    process(chunk_id=batch.chunks.get().pk, task_id="worker")

    status = cancel(user=user, import_id=batch.uuid)

    assert is_cancelled(status)
    assert (status.records["received"], status.records["inserted"]) == (2, 2)
    step(batch)
    assert batch.chunks.count() == 1


def test_a_step_under_way_adds_nothing(batch: ImportBatch, user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker has read its portion; the cancellation commits; then the worker wants to commit."""
    add: Callable[..., None] = cut_module.Cut.add

    def overtaken(self: Any, portion: Any, **options: Any) -> None:
        add(self, portion, **options)
        cancel(user=user, import_id=batch.uuid)

    monkeypatch.setattr(cut_module.Cut, "add", overtaken)
    step(batch)

    batch.refresh_from_db()
    assert (batch.status, batch.chunks.count()) == (Status.FAILED, 0)
    assert not HealthSample.objects.using(database()).exists()


def test_a_file_that_is_gone_cannot_be_retried_but_its_chunks_can(
    batch: ImportBatch, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(split_module, "STEP_SHARE_OF_LEASE", 0.0)
    step(batch)
    cancel(user=user, import_id=batch.uuid)

    retry(user=user, import_id=batch.uuid)
    process(chunk_id=batch.chunks.get().pk, task_id="worker")

    batch.refresh_from_db()
    assert (batch.inserted, batch.status) == (2, Status.FAILED), "its file was not read to the end"
