"""A claimed chunk, from its payload to committed rows: parse, resolve, store, complete."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from django.db import OperationalError, connections, transaction
from django.utils import timezone

from django_healthkit_ingest.core.samples import (
    Deletion,
    Rejected,
    Sample,
    Source,
    Statistic,
    Statistics,
)
from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import HealthSample, ImportChunk, RejectedSample, database
from django_healthkit_ingest.pipeline.failures import CONFLICT_TRIES, LostClaim, is_conflict
from django_healthkit_ingest.pipeline.read import read
from django_healthkit_ingest.pipeline.store.copies import Place
from django_healthkit_ingest.pipeline.store.locks import Scope, lock_user, read_committed
from django_healthkit_ingest.pipeline.store.merge import merge
from django_healthkit_ingest.pipeline.store.references import source_ids, type_ids
from django_healthkit_ingest.pipeline.store.statistics import store_statistics
from django_healthkit_ingest.signals import samples_changed


@dataclass(frozen=True, slots=True, kw_only=True)
class _References:
    """Keys of the rows a sample's row points to."""

    type_ids: dict[str, int]
    source_ids: dict[Source, int]

    def add(self, others: _References) -> None:
        self.type_ids.update(others.type_ids)
        self.source_ids.update(others.source_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Effect:
    books: Mapping[str, int]
    statistics_changed: int
    """Rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Records:
    """A chunk's records, sorted by what they are."""

    samples: Sequence[Sample]
    statistics: Sequence[Statistics]
    deletions: Sequence[Deletion]
    rejections: Sequence[Rejected]

    def everything(self) -> Iterator[Sample | Statistic]:
        """Whatever has a type and a source: also what is inside correlations and aggregated records."""
        for sample in self.samples:
            yield sample
            yield from sample.members
        for record in self.statistics:
            yield from record.values


def complete(chunk: ImportChunk) -> Mapping[str, int]:
    """Store the chunk's records and complete it, in one transaction: a repeat or a second worker changes nothing.

    Answers the chunk's books: outcomes and effects. Raises LostClaim, and what ``failures`` sorts: domain errors,
    database errors.
    """
    using = database()
    records = _parse(chunk)
    references = _references(records, chunk=chunk, using=using)
    nested = connections[using].in_atomic_block
    for tries_left in reversed(range(CONFLICT_TRIES)):
        try:
            with transaction.atomic(using=using):
                if not nested:
                    read_committed(using)
                effect = _store(chunk, records, references=references, using=using)
                _close(chunk, records, books=_books(records, effect), using=using)
                transaction.on_commit(lambda: _announce(chunk, records, effect), using=using, robust=True)  # noqa: B023
        except OperationalError as error:
            if nested or not tries_left or not is_conflict(error):
                raise
        else:
            break
    return _books(records, effect)


def rehearse(chunk: ImportChunk) -> Mapping[str, int]:
    """What running the chunk now would do: outcomes and effects, as its books would show them. Nothing is kept.

    Raises what ``complete`` raises.
    """
    using = database()
    records = _parse(chunk)
    with transaction.atomic(using=using):
        # Before anything is read: SQLite then has one writer.
        lock_user(chunk.user_id, scope=Scope.SAMPLES, using=using)
        references = _references(records, chunk=chunk, using=using)
        effect = _store(chunk, records, references=references, using=using)
        _replace_rejections(chunk, records.rejections, using=using)
        books = _books(records, effect)
        ImportChunk.objects.using(using).filter(pk=chunk.pk).update(
            status=Status.COMPLETED, **books
        )  # do they balance?
        transaction.set_rollback(True, using=using)
    return books


def _parse(chunk: ImportChunk) -> _Records:
    parsed = list(read(chunk))
    return _Records(
        samples=[each for each in parsed if isinstance(each, Sample)],
        statistics=[each for each in parsed if isinstance(each, Statistics)],
        deletions=[each for each in parsed if isinstance(each, Deletion)],
        rejections=[each for each in parsed if isinstance(each, Rejected)],
    )


def _references(records: _Records, *, chunk: ImportChunk, using: str) -> _References:
    types = {each.identifier for each in records.everything()}
    sources = {each.source for each in records.everything() if each.source is not None}
    return _References(type_ids=type_ids(types, using=using), source_ids=source_ids(sources, chunk=chunk, using=using))


def _store(chunk: ImportChunk, records: _Records, *, references: _References, using: str) -> _Effect:
    place = Place(
        user_id=chunk.user_id,
        batch_id=chunk.batch_id,
        chunk_id=chunk.pk,
        only_chunk=chunk.batch.split_done and chunk.batch.chunk_count == 1,
        using=using,
    )

    def recall(chunk_ids: Sequence[int]) -> Iterator[Sample]:
        others = ImportChunk.objects.using(using).filter(pk__in=chunk_ids, payload__isnull=False)
        for other in others.select_related("batch").order_by("pk").iterator(chunk_size=1):
            found = _parse(other)
            references.add(_references(found, chunk=other, using=using))
            yield from found.samples

    merged = merge(
        records.samples,
        records.deletions,
        place=place,
        type_ids=references.type_ids,
        source_ids=references.source_ids,
        recall=recall,
    )
    changed = 0
    if records.statistics:
        lock_user(chunk.user_id, scope=Scope.SAMPLES, using=using)
        changed = store_statistics(
            [value for record in records.statistics for value in record.values],
            user_id=chunk.user_id,
            batch_id=chunk.batch_id,
            sequence=chunk.batch.sequence or 0,
            type_ids=references.type_ids,
            source_ids=references.source_ids,
            using=using,
        )
    return _Effect(books={**asdict(merged), "statistic": len(records.statistics)}, statistics_changed=changed)


def _close(chunk: ImportChunk, records: _Records, *, books: Mapping[str, int], using: str) -> None:
    _replace_rejections(chunk, records.rejections, using=using)
    unknown = Counter(sample.identifier for sample in records.samples if not sample.known)
    for record in records.statistics:
        unknown.update({value.identifier for value in record.values if not value.known})
    mine = ImportChunk.objects.using(using).filter(pk=chunk.pk)
    whole = {**books, "unknown_types": dict(unknown)}
    if not mine.complete(claim_no=chunk.claim_no, now=timezone.now(), books=whole):
        raise LostClaim


def _books(records: _Records, effect: _Effect) -> Mapping[str, int]:
    return {**effect.books, "withheld": 0, "rejected": len(records.rejections)}


def _replace_rejections(chunk: ImportChunk, rejections: Sequence[Rejected], *, using: str) -> None:
    rows = RejectedSample.objects.using(using)
    rows.filter(chunk=chunk)._raw_delete(using)
    rows.bulk_create(
        RejectedSample(chunk=chunk, index=each.index, field=each.field[:128], code=each.code, detail=each.detail[:255])
        for each in rejections
    )


def _announce(chunk: ImportChunk, records: _Records, effect: _Effect) -> None:
    books = effect.books
    inserted = books["inserted"] + books["rows_of_members"]
    updated = books["updated"] + books["adopted"]
    removed = books["rows_removed"] + books["rows_absorbed"]
    if not (inserted or updated or removed or effect.statistics_changed):
        return
    touched = list(records.everything())
    samples_changed.send_robust(
        sender=HealthSample,
        user_id=chunk.user_id,
        batch_id=chunk.batch_id,
        cause="import",
        identifiers=frozenset(each.identifier for each in touched),
        start=min((each.start for each in touched), default=None),
        end=max((each.end or each.start for each in touched), default=None),
        inserted=inserted,
        updated=updated + effect.statistics_changed,
        removed=removed,
    )
