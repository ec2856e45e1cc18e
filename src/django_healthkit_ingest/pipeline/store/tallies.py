"""Which other chunks of a batch hold records without uuid that may be equal to this chunk's.

A chunk leaves one row, and reads those of the chunks whose records start in the same span of time. In an export of
years these are few; were they all, it would be 40 KB for each 5,000 records.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django_healthkit_ingest.models import Tally
from django_healthkit_ingest.pipeline.store.place import Place

_KEY_BYTES = 8
_AT_ONCE = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What a chunk may have in common with others of its batch: short keys, and the chunks that hold one of them."""

    keys: Set[int] = frozenset()
    chunk_ids: Sequence[int] = ()


def short_key(twin: UUID) -> int:
    """The first eight bytes. Where two twin keys have them in common, a chunk is read in vain."""
    return twin.int >> 64


def find_shared(keys: Set[int], *, starts: Iterable[datetime], place: Place) -> Shared:
    """``keys`` are short ones, of records that start at ``starts``."""
    if place.only_chunk or not keys:
        return Shared()
    earliest, latest = _span(starts)
    others = Tally.objects.using(place.using).filter(batch_id=place.batch_id).exclude(chunk_id=place.chunk_id)
    near = others.filter(earliest__lte=latest, latest__gte=earliest).order_by("chunk_id")
    shared: set[int] = set()
    chunk_ids: list[int] = []
    for chunk_id, twins in near.values_list("chunk_id", "twins").iterator(chunk_size=_AT_ONCE):
        common = keys & set(struct.unpack(f">{len(twins) // _KEY_BYTES}Q", twins))
        if common:
            shared |= common
            chunk_ids.append(chunk_id)
    return Shared(keys=shared, chunk_ids=chunk_ids)


def write_tally(keys: Set[int], *, starts: Iterable[datetime], place: Place) -> None:
    """In the place of the one that an earlier run of the chunk has left."""
    if place.only_chunk or not keys:
        return
    earliest, latest = _span(starts)
    tally = Tally(
        user_id=place.user_id,
        batch_id=place.batch_id,
        chunk_id=place.chunk_id,
        earliest=earliest,
        latest=latest,
        twins=struct.pack(f">{len(keys)}Q", *sorted(keys)),
    )
    Tally.objects.using(place.using).bulk_create(
        [tally], update_conflicts=True, unique_fields=["chunk"], update_fields=["earliest", "latest", "twins"]
    )


def _span(starts: Iterable[datetime]) -> tuple[datetime, datetime]:
    """A twin key knows whole seconds, and two records of one may start at different parts of it."""
    every = list(starts)
    return min(every).replace(microsecond=0), max(every).replace(microsecond=0)
