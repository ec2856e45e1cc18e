"""Names of types are rows of a small table that everybody shares: one user may not fill it.

Every type of Apple's, and some hundred new ones, have room. Names that are known here, or that somebody has brought
before, cost nothing and are never refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.db.models import Exists, OuterRef

from django_healthkit_ingest.core.rejections import reasons
from django_healthkit_ingest.core.samples import Parsed, Rejected, Sample, Statistic, Statistics
from django_healthkit_ingest.models import HealthSample, ImportChunk, TypeIdentifier, database
from django_healthkit_ingest.models import Statistic as StatisticRow

MOST = 1000
"""Types one user may have records of before new names are refused."""

REASON = "too_many_types"


def without_excess(parsed: Iterable[Parsed], *, chunk: ImportChunk) -> list[Parsed]:
    """The records, those of too many unheard-of types rejected. No query unless there is an unknown type among them."""
    records = list(parsed)
    unknown = {
        each.identifier for record in records if not _is_plain(record) for each in _typed(record) if not each.known
    }
    refused = _refused(unknown, chunk=chunk) if unknown else frozenset()
    if not refused:
        return records
    return [_judged(record, refused) for record in records]


def _is_plain(record: Parsed) -> bool:
    """One sample of a known type, as nearly all are."""
    return isinstance(record, Sample) and record.known and not record.members


def _typed(record: Parsed) -> Iterator[Sample | Statistic]:
    if isinstance(record, Sample):
        yield record
        yield from record.members
    elif isinstance(record, Statistics):
        yield from record.values


def _refused(unknown: set[str], *, chunk: ImportChunk) -> frozenset[str]:
    types = TypeIdentifier.objects.using(database())
    new = unknown.difference(types.filter(identifier__in=unknown).values_list("identifier", flat=True))
    if not new:
        return frozenset()
    mine = {"user_id": chunk.user_id, "type": OuterRef("pk")}
    samples = HealthSample.objects.using(database()).filter(**mine)
    statistics = StatisticRow.objects.using(database()).filter(**mine)
    room = max(0, MOST - types.filter(Exists(samples) | Exists(statistics)).count())
    return frozenset(sorted(new)[room:])


def _judged(record: Parsed, refused: frozenset[str]) -> Parsed:
    if isinstance(record, Sample | Statistics) and any(each.identifier in refused for each in _typed(record)):
        return Rejected(index=record.index, field="type", code=REASON, detail=reasons()[REASON])
    return record
