"""What every run of ``process`` ends with, whatever became of its claim: the chain never stops at a lost race."""

from __future__ import annotations

from django_healthkit_ingest.models import ImportChunk, database
from django_healthkit_ingest.pipeline.dispatch import dispatch
from django_healthkit_ingest.pipeline.finish import finish


def advance(*, chunk_id: int, chunk: ImportChunk | None = None) -> None:
    """Fill the window of the chunk's user and lane, and close its batch if this was the last chunk.

    ``chunk`` saves reading what the caller has read.
    """
    chunks = ImportChunk.objects.using(database()).filter(pk=chunk_id).only("batch_id", "user_id", "lane")
    for each in (chunk,) if chunk is not None else chunks:
        dispatch(user_id=each.user_id, lane=each.lane)
        if not _has_unfinished(batch_id=each.batch_id):
            finish(batch_id=each.batch_id)


def _has_unfinished(*, batch_id: int) -> bool:
    """Asked first because it is nearly always so, and ``finish`` reads the whole batch."""
    chunks = ImportChunk.objects.using(database()).filter(batch_id=batch_id)
    return chunks.unfinished().exists()
