"""Some types of a user go: first what was received of them, then their rows, so that no replay brings them back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from django_healthkit_ingest.models import (
    HealthSample,
    ImportBatch,
    Membership,
    Statistic,
    Tally,
    TypeIdentifier,
    database,
)
from django_healthkit_ingest.pipeline.belongings import (
    CHUNKS,
    SAMPLES,
    SERIES,
    STATISTICS,
    SYNC_STATES,
    TALLIES,
    read_on,
    take_next,
)
from django_healthkit_ingest.pipeline.store.engine import keys_of, slices
from django_healthkit_ingest.pipeline.store.series import drop_series
from django_healthkit_ingest.pipeline.withhold import redact

RECORDS = "records"
"""What a receipt calls received records that were blanked in the payloads."""


def erase_types(
    *, user_id: Any, identifiers: Collection[str], position: dict[str, Any], limit: int
) -> tuple[Counter[str], bool]:
    """One payload, or at most ``limit`` rows: how much of what is gone, and whether nothing is left.

    The caller holds the user's lock. ``position`` is where the next step goes on, and is brought on. Tombstones, traces
    and memberships stay: they are uuids and digests, and name no type.
    """
    found, position[CHUNKS.name] = read_on(
        CHUNKS,
        user_id=user_id,
        place=position.get(CHUNKS.name),
        size=1,
        where={"payload__isnull": False},
        only=("pk", *CHUNKS.order),
    )
    types = TypeIdentifier.objects.using(database()).filter(identifier__in=identifiers)
    type_ids = list(types.values_list("pk", flat=True))
    if found:
        (chunk,) = found
        tallies = Tally.objects.using(database()).filter(chunk=chunk.pk, type_id__in=type_ids).delete()[0]
        records = redact(chunk_id=chunk.pk, identifiers=frozenset(identifiers))
        return Counter({RECORDS: records, TALLIES.name: tallies}), False
    for erase in (_erase_samples, _erase_statistics):
        counts = erase(user_id=user_id, type_ids=type_ids, position=position, limit=limit)
        if counts:
            return counts, False
    return _erase_anchors(user_id=user_id, type_ids=type_ids, identifiers=identifiers), True


def _erase_samples(*, user_id: Any, type_ids: list[int], position: dict[str, Any], limit: int) -> Counter[str]:
    using = database()
    rows = HealthSample.objects.using(using).filter(user_id=user_id, type_id__in=type_ids)
    found: list[HealthSample] = take_next(SAMPLES, rows, position=position, limit=limit, only=("uuid", "fingerprint"))
    if not found:
        return Counter()
    found += _correlations_of(found, user_id=user_id)
    gone = HealthSample.objects.using(using).filter(pk__in=[row.pk for row in found])._raw_delete(using)
    series = drop_series(found, user_id=user_id, using=using)
    return Counter({SAMPLES.name: gone, SERIES.name: series})


def _correlations_of(members: Collection[HealthSample], *, user_id: Any) -> list[HealthSample]:
    """Their details hold the members whole; what else was in them has rows of its own, which stay."""
    using = database()
    uuids = [member.uuid for member in members if member.uuid is not None]
    mine = Membership.objects.using(using).filter(user_id=user_id, member__in=uuids)
    correlations = mine.values_list("correlation", flat=True).distinct()
    there = set(keys_of(correlations, column="uuid", user_id=user_id, using=using)) - {member.pk for member in members}
    rows = HealthSample.objects.using(using).only("uuid", "fingerprint")
    return [row for part in slices(there) for row in rows.filter(pk__in=part)]


def _erase_statistics(*, user_id: Any, type_ids: list[int], position: dict[str, Any], limit: int) -> Counter[str]:
    using = database()
    rows = Statistic.objects.using(using).filter(user_id=user_id, type_id__in=type_ids)
    found = take_next(STATISTICS, rows, position=position, limit=limit)
    if not found:
        return Counter()
    gone = Statistic.objects.using(using).filter(pk__in=[row.pk for row in found])._raw_delete(using)
    return Counter({STATISTICS.name: gone})


def _erase_anchors(*, user_id: Any, type_ids: list[int], identifiers: Collection[str]) -> Counter[str]:
    """Released ones and those that wait: what lies before them is not here any more, so a phone begins anew."""
    using = database()
    batches = ImportBatch.objects.using(using).filter(user_id=user_id)
    for batch_id, anchors in list(batches.with_anchors_to_release().values_list("pk", "anchors")):
        left = {name: anchor for name, anchor in (anchors or {}).items() if name not in identifiers}
        if left != anchors:
            batches.filter(pk=batch_id).keep_anchors(left)
    states = SYNC_STATES.rows(user_id=user_id).filter(type_id__in=type_ids)
    return Counter({SYNC_STATES.name: states._raw_delete(using) if type_ids else 0})
