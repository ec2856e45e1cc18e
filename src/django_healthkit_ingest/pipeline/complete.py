"""A claimed chunk, from its payload to committed rows: parse, withhold, resolve, store, complete."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

from django.db import OperationalError, connections, transaction
from django.utils import timezone

from django_healthkit_ingest.core.blanks import Blank
from django_healthkit_ingest.core.samples import (
    Deletion,
    Parsed,
    Rejected,
    Sample,
    Section,
    Source,
    Statistic,
    Statistics,
)
from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import HealthSample, ImportChunk, RejectedSample, database
from django_healthkit_ingest.pipeline.consent import (
    NOTHING,
    Withholding,
    has_changed,
    read_withholding,
    still_holds,
)
from django_healthkit_ingest.pipeline.excess import without_excess
from django_healthkit_ingest.pipeline.failures import CONFLICT_TRIES, LostClaim, is_conflict
from django_healthkit_ingest.pipeline.read import read
from django_healthkit_ingest.pipeline.store.locks import Scope, lock_user, read_committed
from django_healthkit_ingest.pipeline.store.merge import merge
from django_healthkit_ingest.pipeline.store.place import Place
from django_healthkit_ingest.pipeline.store.references import source_ids, type_ids
from django_healthkit_ingest.pipeline.store.statistics import store_statistics
from django_healthkit_ingest.pipeline.withhold import blanked_payload, kept_samples, sift
from django_healthkit_ingest.signals import samples_changed

CONSENT_TRIES = 3


class ConsentChanged(TimeoutError):
    """The user decided otherwise while the chunk was being stored: nothing is kept, it is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _References:
    """Keys of the rows a sample's row points to."""

    type_ids: dict[str, int]
    source_ids: dict[Source, int]

    def add(self, others: _References) -> None:
        self.type_ids.update(others.type_ids)
        self.source_ids.update(others.source_ids)


def _with_members(samples: Iterable[Sample]) -> Iterator[Sample]:
    for sample in samples:
        yield sample
        yield from sample.members


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
    withheld: int
    fresh: Mapping[int, Blank]
    """Those of the withheld that are still in the payload."""

    def everything(self) -> Iterator[Sample | Statistic]:
        """Whatever has a type and a source: also what is inside correlations and aggregated records."""
        yield from _with_members(self.samples)
        for record in self.statistics:
            yield from record.values


def complete(chunk: ImportChunk) -> Mapping[str, int]:
    """Store the chunk's records and complete it, in one transaction: a repeat or a second worker changes nothing.

    Records that are withheld leave the payload in the same transaction. Consent is read before it, and our own table
    must still say the same under the user's lock, else the chunk is stored anew; the host is asked once.

    Answers the chunk's books: outcomes and effects. Raises LostClaim, and what ``failures`` sorts: domain errors,
    database errors, ConsentChanged.
    """
    parsed = without_excess(read(chunk), chunk=chunk)
    for _ in range(CONSENT_TRIES - 1):
        with suppress(ConsentChanged):
            return _complete(chunk, parsed, withholding=_withholding(chunk))
    return _complete(chunk, parsed, withholding=_withholding(chunk))


def _complete(chunk: ImportChunk, parsed: Sequence[Parsed], *, withholding: Withholding) -> Mapping[str, int]:
    using = database()
    records = _sorted(parsed, chunk=chunk, types=withholding.types)
    references = _references(records.everything(), chunk=chunk, using=using)
    nested = connections[using].in_atomic_block
    for tries_left in reversed(range(CONFLICT_TRIES)):
        try:
            with transaction.atomic(using=using):
                if not nested:
                    read_committed(using)
                effect = _store(chunk, records, references=references, types=withholding.types, using=using)
                _close(chunk, records, withholding=withholding, books=_books(records, effect), using=using)
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
    types = _withholding(chunk).types
    records = _sorted(without_excess(read(chunk), chunk=chunk), chunk=chunk, types=types)
    with transaction.atomic(using=using):
        # Before anything is read: SQLite then has one writer.
        lock_user(chunk.user_id, scope=Scope.SAMPLES, using=using)
        references = _references(records.everything(), chunk=chunk, using=using)
        effect = _store(chunk, records, references=references, types=types, using=using)
        _replace_rejections(chunk, records.rejections, using=using)
        books = _books(records, effect)
        ImportChunk.objects.using(using).filter(pk=chunk.pk).update(
            status=Status.COMPLETED, **books
        )  # do they balance?
        transaction.set_rollback(True, using=using)
    return books


def _withholding(chunk: ImportChunk) -> Withholding:
    return NOTHING if chunk.section == Section.DELETIONS else read_withholding(user_id=chunk.user_id)


def _sorted(parsed: Iterable[Parsed], *, chunk: ImportChunk, types: frozenset[str]) -> _Records:
    sifted = sift(parsed, chunk=chunk, types=types)
    return _Records(
        samples=[each for each in sifted.kept if isinstance(each, Sample)],
        statistics=[each for each in sifted.kept if isinstance(each, Statistics)],
        deletions=[each for each in sifted.kept if isinstance(each, Deletion)],
        rejections=[each for each in sifted.kept if isinstance(each, Rejected)],
        withheld=sifted.withheld,
        fresh=sifted.fresh,
    )


def _references(everything: Iterable[Sample | Statistic], *, chunk: ImportChunk, using: str) -> _References:
    types: set[str] = set()
    sources: set[Source] = set()
    for each in everything:
        types.add(each.identifier)
        if each.source is not None:
            sources.add(each.source)
    return _References(type_ids=type_ids(types, using=using), source_ids=source_ids(sources, chunk=chunk, using=using))


def _store(
    chunk: ImportChunk, records: _Records, *, references: _References, types: frozenset[str], using: str
) -> _Effect:
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
            found = list(kept_samples(read(other), types=types))
            references.add(_references(_with_members(found), chunk=other, using=using))
            yield from found

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


def _close(
    chunk: ImportChunk, records: _Records, *, withholding: Withholding, books: Mapping[str, int], using: str
) -> None:
    if records.rejections or chunk.claim_no > 1:  # nobody has run it before, so there are none to replace
        _replace_rejections(chunk, records.rejections, using=using)
    unknown = Counter(sample.identifier for sample in records.samples if not sample.known)
    for record in records.statistics:
        unknown.update({value.identifier for value in record.values if not value.known})
    whole: dict[str, object] = {**books, "unknown_types": dict(unknown)}
    if records.fresh:
        # Held already if anything was merged; without it the payload may be one that was blanked meanwhile.
        lock_user(chunk.user_id, scope=Scope.SAMPLES, using=using)
        whole["payload"] = blanked_payload(chunk, records.fresh)
    mine = ImportChunk.objects.using(using).filter(pk=chunk.pk)
    unchanged = mine.filter(still_holds(withholding, user_id=chunk.user_id))
    if not unchanged.complete(claim_no=chunk.claim_no, now=timezone.now(), books=whole):
        raise ConsentChanged if has_changed(withholding, user_id=chunk.user_id) else LostClaim


def _books(records: _Records, effect: _Effect) -> Mapping[str, int]:
    return {**effect.books, "withheld": records.withheld, "rejected": len(records.rejections)}


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
