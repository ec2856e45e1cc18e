"""A claimed chunk, from its payload to committed rows: parse, resolve, store, complete."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.db import OperationalError, connections, transaction
from django.utils import timezone

from django_healthkit_ingest.conf import get_format, get_registry
from django_healthkit_ingest.core.encodings import decompress
from django_healthkit_ingest.core.samples import Deletion, Rejected, Sample, Section
from django_healthkit_ingest.exceptions import PayloadUnavailable
from django_healthkit_ingest.models import HealthSample, ImportChunk, RejectedSample, database
from django_healthkit_ingest.pipeline.failures import CONFLICT_TRIES, LostClaim, is_conflict
from django_healthkit_ingest.pipeline.store.merge import Merged, merge
from django_healthkit_ingest.pipeline.store.references import source_ids, type_ids
from django_healthkit_ingest.signals import samples_changed


@dataclass(frozen=True, slots=True, kw_only=True)
class _Records:
    """A chunk's records, sorted by what they are."""

    samples: Sequence[Sample]
    deletions: Sequence[Deletion]
    rejections: Sequence[Rejected]


def complete(chunk: ImportChunk) -> None:
    """Store the chunk's records and complete it, in one transaction: a repeat or a second worker changes nothing.

    Raises LostClaim, and what ``failures`` sorts: domain errors, database errors.
    """
    using = database()
    records = _parse(chunk)
    identifiers = (sample.identifier for sample in records.samples)
    sources = {sample.source for sample in records.samples if sample.source is not None}
    references = {
        "type_ids": type_ids(identifiers, using=using),
        "source_ids": source_ids(sources, chunk=chunk, using=using),
    }
    nested = connections[using].in_atomic_block
    for tries_left in reversed(range(CONFLICT_TRIES)):
        try:
            with transaction.atomic(using=using):
                if not nested:
                    _read_committed(using)
                merged = _store(chunk, records, references=references, using=using)
                transaction.on_commit(lambda: _announce(chunk, records, merged), using=using, robust=True)  # noqa: B023
        except OperationalError as error:
            if nested or not tries_left or not is_conflict(error):
                raise
        else:
            return


def _parse(chunk: ImportChunk) -> _Records:
    if chunk.payload is None:
        raise PayloadUnavailable("The payload was purged; only the phone can send these records again.")
    parsed = list(
        get_format(chunk.batch.format).parse(
            decompress(bytes(chunk.payload)),
            section=Section(chunk.section),
            first_index=chunk.first_index,
            time_zone=chunk.batch.time_zone or None,
            registry=get_registry(),
        )
    )
    return _Records(
        samples=[each for each in parsed if isinstance(each, Sample)],
        deletions=[each for each in parsed if isinstance(each, Deletion)],
        rejections=[each for each in parsed if isinstance(each, Rejected)],
    )


def _read_committed(using: str) -> None:
    """Whatever level the host or the role defaults to: a stricter one's snapshot would predate the user's lock."""
    connection = connections[using]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")


def _store(chunk: ImportChunk, records: _Records, *, references: Mapping[str, Any], using: str) -> Merged:
    merged = merge(
        records.samples,
        records.deletions,
        user_id=chunk.user_id,
        batch_id=chunk.batch_id,
        using=using,
        **references,
    )
    _replace_rejections(chunk, records.rejections, using=using)
    unknown = Counter(sample.identifier for sample in records.samples if not sample.known)
    books = {**asdict(merged), "rejected": len(records.rejections), "unknown_types": dict(unknown)}
    mine = ImportChunk.objects.using(using).filter(pk=chunk.pk)
    if not mine.complete(claim_no=chunk.claim_no, now=timezone.now(), books=books):
        raise LostClaim
    return merged


def _replace_rejections(chunk: ImportChunk, rejections: Sequence[Rejected], *, using: str) -> None:
    rows = RejectedSample.objects.using(using)
    rows.filter(chunk=chunk)._raw_delete(using)
    rows.bulk_create(
        RejectedSample(chunk=chunk, index=each.index, field=each.field[:128], code=each.code, detail=each.detail[:255])
        for each in rejections
    )


def _announce(chunk: ImportChunk, records: _Records, merged: Merged) -> None:
    if not (merged.inserted or merged.updated or merged.rows_removed):
        return
    samples_changed.send_robust(
        sender=HealthSample,
        user_id=chunk.user_id,
        batch_id=chunk.batch_id,
        cause="import",
        identifiers=frozenset(sample.identifier for sample in records.samples),
        start=min((sample.start for sample in records.samples), default=None),
        end=max((sample.end for sample in records.samples), default=None),
        inserted=merged.inserted,
        updated=merged.updated,
        removed=merged.rows_removed,
    )
