"""What every run of ``process`` ends with, whatever became of its claim: the chain never stops at a lost race."""

from __future__ import annotations

from django_healthkit_ingest.models import ImportChunk, database
from django_healthkit_ingest.pipeline.dispatch import dispatch
from django_healthkit_ingest.pipeline.finish import finish


def advance(*, chunk_id: int) -> None:
    """Fill the window of the chunk's user and lane, and close its batch if this was the last chunk."""
    chunks = ImportChunk.objects.using(database()).filter(pk=chunk_id)
    for batch_id, user_id, lane in chunks.values_list("batch_id", "user_id", "lane"):
        dispatch(user_id=user_id, lane=lane)
        finish(batch_id=batch_id)
