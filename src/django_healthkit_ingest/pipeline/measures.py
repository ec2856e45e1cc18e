"""What happens to chunks, as log records that carry numbers and ids and nothing else.

The numbers are a mapping on the record, ``measures``; ``sqs.metrics`` makes CloudWatch metrics of it, and a host's own
handler on the logger ``django_healthkit_ingest.metrics`` may make of it what it likes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta

from django_healthkit_ingest.core.states import OUTCOMES
from django_healthkit_ingest.models import ImportChunk

logger = logging.getLogger("django_healthkit_ingest.metrics")

SHOWN_AS = {"adopted": "updated", "buried": "superseded"}
"""Outcomes that clients are not told apart, as in ``status``."""


def chunk_completed(chunk: ImportChunk, *, seconds: float, books: Mapping[str, int]) -> None:
    measures: dict[str, float] = {"chunk_seconds": seconds, "chunks_completed": 1}
    for outcome in OUTCOMES:
        if books[outcome]:
            name = f"samples_{SHOWN_AS.get(outcome, outcome)}"
            measures[name] = measures.get(name, 0) + books[outcome]
    _log(f"Chunk {chunk.pk} is COMPLETED after {seconds:.3f} seconds.", measures, ids=ids_of(chunk))


def chunks_failed(*, number: int = 1, **ids: int) -> None:
    """Given up for good: by a permanent error, or with no attempt left."""
    _log(f"FAILED chunks: {number}.", {"chunks_failed": number}, ids=ids)


def chunk_retried(chunk: ImportChunk) -> None:
    """An earlier attempt ended without a result: put back, crashed, handed back at a stop, or killed."""
    _log(f"Chunk {chunk.pk} is tried again.", {"chunks_retried": 1}, ids=ids_of(chunk))


def sweep_done(*, repairs: int, oldest: timedelta, processing_paused: bool, intake_paused: bool) -> None:
    """Once per sweep, also when there was nothing to repair: its absence says that no sweep runs."""
    _log(
        f"Sweep repaired {repairs}; the oldest chunk has waited {oldest.total_seconds():.0f} seconds.",
        {
            "sweep_repairs": repairs,
            "oldest_chunk_age": oldest.total_seconds(),
            "processing_paused": int(processing_paused),
            "intake_paused": int(intake_paused),
        },
    )


def queue_measured(*, depth: int, dead_letters: int | None) -> None:
    """``dead_letters`` is None where this process may not look into that queue, or there is none."""
    dead = {} if dead_letters is None else {"dead_letters": dead_letters}
    _log(f"The queue holds {depth} messages.", {"queue_depth": depth, **dead})


def ids_of(chunk: ImportChunk) -> dict[str, int]:
    """For ``extra`` of whatever is logged about the chunk."""
    return {"chunk_id": chunk.pk, "batch_id": chunk.batch_id}


def _log(text: str, measures: Mapping[str, float], *, ids: Mapping[str, int] | None = None) -> None:
    logger.info(text, extra={"measures": measures, **(ids or {})})
