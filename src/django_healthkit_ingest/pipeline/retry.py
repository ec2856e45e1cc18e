"""A client wants what failed of its import tried again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.pipeline.imports import find_import, get_import
from django_healthkit_ingest.pipeline.replay import replay
from django_healthkit_ingest.pipeline.status import BatchStatus


def retry(*, user: Any, import_id: UUID) -> BatchStatus:
    """The FAILED chunks are PENDING again, with all their attempts; an import without any stays as it is.

    Raises NotFound, and PayloadUnavailable where only the phone still has the data.
    """
    batch = find_import(user=user, import_id=import_id)
    if batch.status == Status.FAILED:
        replay(batch=batch, only_failed=True)
    return get_import(user=user, import_id=import_id)
