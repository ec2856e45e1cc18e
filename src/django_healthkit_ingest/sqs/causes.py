"""Why a message died, as far as the rows know: what it was about, and what became of that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from uuid import UUID

from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import Erasure, Export, ImportBatch, ImportChunk, ImportUpload, database
from django_healthkit_ingest.queues import DISPATCH_BATCH, ERASE, EXPORT, PROCESS_CHUNK, SPLIT_UPLOAD
from django_healthkit_ingest.sqs.dead_letters import DeadLetter


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Without a batch there is nothing about it in the rows: it was erased, or it is not ours."""

    letter: DeadLetter
    batch: UUID | None = None
    status: str = ""
    """Of the chunk, the upload, the batch, the erasure or the export."""
    error: str = ""
    attempts: int | None = None


def causes_of(letters: Iterable[DeadLetter]) -> list[Cause]:
    """In the order the messages were first sent."""
    ordered = sorted(letters, key=lambda letter: letter.first_sent)
    causes = {letter.id: Cause(letter=letter) for letter in ordered}
    for task, look_up in ROWS.items():
        subjects = {each.id: each.content.subject for each in ordered if each.content.task == task}
        rows = look_up({subject for subject in subjects.values() if subject is not None}) if subjects else {}
        for letter_id, subject in subjects.items():
            if subject in rows:
                batch, status, error, attempts = rows[subject]
                causes[letter_id] = replace(
                    causes[letter_id], batch=batch, status=status, error=error, attempts=attempts
                )
    return list(causes.values())


Row = tuple[UUID | None, str, str, int | None]


def _chunks(ids: set[int]) -> dict[int | None, Row]:
    columns = ("pk", "batch__uuid", "status", "error_code", "attempts")
    rows = ImportChunk.objects.using(database()).filter(pk__in=ids).values_list(*columns)
    return {pk: (uuid, status, error, attempts) for pk, uuid, status, error, attempts in rows}


def _uploads(ids: set[int]) -> dict[int | None, Row]:
    rows: dict[int | None, Row] = {}
    for upload in ImportUpload.objects.using(database()).filter(pk__in=ids).select_related("batch"):
        if upload.finished_at is not None:
            status = Status.FAILED if upload.error_code else Status.COMPLETED
        else:
            status = Status.PROCESSING if upload.lease_until is not None else Status.PENDING
        rows[upload.pk] = (upload.batch.uuid, status, upload.error_code, upload.attempts)
    return rows


def _batches(ids: set[int]) -> dict[int | None, Row]:
    rows = ImportBatch.objects.using(database()).filter(pk__in=ids).values_list("pk", "uuid", "status")
    return {pk: (uuid, status, "", None) for pk, uuid, status in rows}


def _orders(model: type[Erasure] | type[Export]) -> Callable[[set[int]], dict[int | None, Row]]:
    """An erasure and an export are no import's."""

    def look_up(ids: set[int]) -> dict[int | None, Row]:
        rows = model._base_manager.using(database()).filter(pk__in=ids).values_list("pk", "status", "error_code")
        return {pk: (None, status, error, None) for pk, status, error in rows}

    return look_up


ROWS: Mapping[str, Callable[[set[int]], dict[int | None, Row]]] = MappingProxyType(
    {
        PROCESS_CHUNK: _chunks,
        SPLIT_UPLOAD: _uploads,
        DISPATCH_BATCH: _batches,
        ERASE: _orders(Erasure),
        EXPORT: _orders(Export),
    }
)
