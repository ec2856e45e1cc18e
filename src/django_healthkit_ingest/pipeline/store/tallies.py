"""Which other chunks of a batch hold records without uuid that may be equal to this chunk's.

A chunk leaves a row for each type, and reads those of its types and span of time, which in an export are few.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django_healthkit_ingest.core import samples
from django_healthkit_ingest.models import Tally
from django_healthkit_ingest.pipeline.store.engine import slices, span
from django_healthkit_ingest.pipeline.store.place import Place

_KEY_BYTES = 8
_AT_ONCE = 25
"""Tallies in memory: one has 40 KB for each 5,000 records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A chunk's records of one type: their short keys, and the whole seconds within which they start."""

    keys: Set[int]
    earliest: datetime
    latest: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What a chunk may have in common with others of its batch: short keys, and the chunks that hold one of them."""

    keys: Set[int] = frozenset()
    chunk_ids: Sequence[int] = ()


def short_key(twin: UUID) -> int:
    """The first eight bytes. Where two twin keys have them in common, a chunk is read in vain."""
    return twin.int >> 64


def outline(
    records: Iterable[samples.Sample], keys: Iterable[int], *, type_id: Callable[[samples.Sample], int]
) -> Mapping[int, Outline]:
    """By type; ``keys`` are the records' short ones."""
    by_type: dict[str, list[tuple[samples.Sample, int]]] = defaultdict(list)
    for record, key in zip(records, keys, strict=True):
        by_type[record.identifier].append((record, key))
    outlines: dict[int, Outline] = {}
    for pairs in by_type.values():
        # In whole seconds: two records of one twin key may start at different parts of one.
        known_as, earliest, latest = span(type_id(pairs[0][0]), [record.start for record, _ in pairs])
        outlines[known_as] = Outline(keys={key for _, key in pairs}, earliest=earliest, latest=latest)
    return outlines


def find_shared(mine: Mapping[int, Outline], *, place: Place) -> Shared:
    """``mine`` are the outlines of this chunk. Asked under the user's lock, so no chunk is half done."""
    if place.only_chunk or not mine:
        return Shared()
    first, last = min(each.earliest for each in mine.values()), max(each.latest for each in mine.values())
    tallies = Tally.objects.using(place.using)
    near = tallies.filter(batch_id=place.batch_id, type_id__in=mine, earliest__lte=last, latest__gte=first)
    others = near.exclude(chunk_id=place.chunk_id).values_list("pk", "type_id", "earliest", "latest")
    met = [
        key
        for key, type_id, earliest, latest in others
        if earliest <= mine[type_id].latest and latest >= mine[type_id].earliest
    ]
    shared: set[int] = set()
    chunk_ids: set[int] = set()
    for part in slices(met):
        found = tallies.filter(pk__in=part).values_list("chunk_id", "type_id", "twins")
        for chunk_id, type_id, twins in found.iterator(chunk_size=_AT_ONCE):
            common = mine[type_id].keys & frozenset(struct.unpack(f">{len(twins) // _KEY_BYTES}Q", twins))
            if common:
                shared |= common
                chunk_ids.add(chunk_id)
    return Shared(keys=shared, chunk_ids=tuple(sorted(chunk_ids)))


def write_tallies(mine: Mapping[int, Outline], *, place: Place) -> None:
    """Replaced and not added to, so that a chunk may run again."""
    if place.only_chunk:
        return
    tallies = Tally.objects.using(place.using)
    tallies.filter(chunk_id=place.chunk_id)._raw_delete(place.using)
    tallies.bulk_create(
        Tally(
            user_id=place.user_id,
            batch_id=place.batch_id,
            chunk_id=place.chunk_id,
            type_id=type_id,
            earliest=each.earliest,
            latest=each.latest,
            twins=struct.pack(f">{len(each.keys)}Q", *sorted(each.keys)),
        )
        for type_id, each in mine.items()
    )
