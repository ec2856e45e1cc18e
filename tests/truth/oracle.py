"""The sample table as a pure function of what was received: plain dicts, no database, no order.

It shares the formats' readings with the code under test and nothing else. ``Law`` holds the points at which a merge is
easily wrong; its defaults are the law, every other choice is a fault somebody could make.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django_healthkit_ingest.conf import get_format, get_registry
from django_healthkit_ingest.core.formats.envelope import join
from django_healthkit_ingest.core.registry import SampleKind
from django_healthkit_ingest.core.samples import Deletion, Sample

TOLERANCE = 2e-5
"""Apple's export prints 6 digits, and converts units with rounded constants."""
STONE_TOLERANCE = 1e-4
"""Of kilograms, which may have been stones."""
CLEARLY_APART = 1e-3
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Row(NamedTuple):
    """One row of the sample table, as far as the law speaks of it."""

    type: str
    start: datetime
    end: datetime
    uuid: UUID | None
    value: float | None
    category: int | None
    unit: str
    metadata: str
    source: str | None
    rank: int
    fp_seq: int | None
    """The ordinal of a row without uuid; None for a row that has one."""


class Received(NamedTuple):
    """One batch, read by its format."""

    samples: Sequence[Sample]
    deleted: frozenset[UUID]

    def members(self) -> Iterator[Sample]:
        for sample in self.samples:
            yield from sample.members


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    dead_absorb: bool = True
    """A dead uuid still accounts for a copy of its record without uuid."""
    former_looks_absorb: bool = True
    """A uuid that looks otherwise now accounts for copies of what it was."""
    rank_breaks_ties: bool = True
    """Not the order of arrival."""
    tombstones_keep_versions: bool = True
    """A deleted version 2 beats version 1."""
    members_are_buried: bool = True
    """With their correlation."""
    most_of_one_batch: bool = True
    """The count of a record without uuid is the largest that one batch brought, not the sum over batches."""
    members_apart: bool = True
    """A batch's members of correlations and its records outside are counted apart."""


LAW = Law()
FAULTS: Mapping[str, Law] = {
    "a dead uuid does not absorb its twin": Law(dead_absorb=False),
    "an edited uuid forgets what it was": Law(former_looks_absorb=False),
    "arrival order breaks a tie": Law(rank_breaks_ties=False),
    "a tombstone forgets the sync version": Law(tombstones_keep_versions=False),
    "deletions do not bury members": Law(members_are_buried=False),
    "batches are summed": Law(most_of_one_batch=False),
    "members count beside their copies": Law(members_apart=False),
}

_Class = tuple[str, int, int, int | None, int]


def receive(body: bytes, *, format: str) -> Received:
    """Everything in the body, as the format reads it; a record it rejects fails the test that sent it."""
    wire = get_format(format)
    envelope = wire.split(body, time_zone=None)
    samples: list[Sample] = []
    deleted: set[UUID] = set()
    for section, raws in envelope.records.items():
        zone = envelope.time_zone
        text = join(raws)
        for read in wire.parse(text, section=section, first_index=0, time_zone=zone, registry=get_registry()):
            if isinstance(read, Deletion):
                deleted.add(read.uuid)
            else:
                assert isinstance(read, Sample), "generators send only what their format can read"
                samples.append(read)
    return Received(samples, frozenset(deleted))


def final_table(batches: Sequence[Received], *, law: Law = LAW) -> list[Row]:
    """What the user's sample table holds once all of this has been merged, in whatever order."""
    everything = [each for batch in batches for each in (*batch.samples, *batch.members())]
    named = [sample for sample in everything if sample.uuid is not None]
    dead = _dead(batches, named, law=law)
    living = _living(named, dead, law=law)
    class_of = _Classes(everything)
    known: defaultdict[_Class, set[UUID]] = defaultdict(set)
    for sample in named:
        assert sample.uuid is not None
        if sample.uuid in dead and not law.dead_absorb:
            continue
        if sample.uuid in living and living[sample.uuid] is not sample and not law.former_looks_absorb:
            continue
        known[class_of(sample)].add(sample.uuid)
    rows = [_row(sample, ordinal=None) for sample in living.values()]
    for key, places in _places(batches, class_of, law=law).items():
        visible = list(enumerate(places))[len(known[key]) :]
        rows += [_row(sample, ordinal=ordinal) for ordinal, sample in visible]
    return sorted(rows, key=repr)


def canonical(metadata: object) -> str:
    return json.dumps(metadata, sort_keys=True) if metadata else ""


def _dead(batches: Sequence[Received], named: Iterable[Sample], *, law: Law) -> set[UUID]:
    deleted = {uuid for batch in batches for uuid in batch.deleted}
    marks: dict[UUID, tuple[int, UUID]] = {}
    bearers: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for sample in named:
        if sample.sync_key is None or (sample.uuid in deleted and not law.tombstones_keep_versions):
            continue
        assert sample.uuid is not None and sample.sync_version is not None
        bearers[sample.sync_key].add(sample.uuid)
        mark = (sample.sync_version, sample.uuid)
        marks[sample.sync_key] = max(mark, marks.get(sample.sync_key, mark))
    superseded = {uuid for key, uuids in bearers.items() for uuid in uuids if uuid != marks[key][1]}
    dead = deleted | superseded
    if not law.members_are_buried:
        return dead
    buried = {
        member.uuid for sample in named if sample.uuid in dead for member in sample.members if member.uuid is not None
    }
    return dead | buried


def _living(named: Iterable[Sample], dead: set[UUID], *, law: Law) -> dict[UUID, Sample]:
    best: dict[UUID, Sample] = {}
    for sample in named:
        assert sample.uuid is not None
        if sample.uuid in dead:
            continue
        rival = best.get(sample.uuid)
        if rival is None or not law.rank_breaks_ties or _merit(sample) > _merit(rival):
            best[sample.uuid] = sample
    return best


def _merit(sample: Sample) -> tuple[float, int]:
    return (float("-inf") if sample.sync_version is None else sample.sync_version, sample.rank)


def _places(batches: Sequence[Received], class_of: _Classes, *, law: Law) -> Mapping[_Class, Sequence[Sample]]:
    """By class, the best record for each ordinal."""
    piles: defaultdict[_Class, list[list[Sample]]] = defaultdict(list)
    for batch in batches:
        outside, inside = list(batch.samples), list(batch.members())
        for group in [outside, inside] if law.members_apart else [[*outside, *inside]]:
            pile: defaultdict[_Class, list[Sample]] = defaultdict(list)
            for sample in group:
                if sample.uuid is None:
                    pile[class_of(sample)].append(sample)
            for key, records in pile.items():
                piles[key].append(records)
    if not law.most_of_one_batch:
        piles = defaultdict(list, {key: [[each for pile in heap for each in pile]] for key, heap in piles.items()})
    return {key: _best_of_each_ordinal(heap) for key, heap in piles.items()}


def _best_of_each_ordinal(heap: Iterable[list[Sample]]) -> list[Sample]:
    best: list[Sample] = []
    for pile in heap:
        for ordinal, sample in enumerate(sorted(pile, key=lambda each: each.rank, reverse=True)):
            if ordinal == len(best):
                best.append(sample)
            elif sample.rank > best[ordinal].rank:
                best[ordinal] = sample
    return best


class _Classes:
    """Which records may be copies of each other; a class is a place, an interval and a cluster of near values."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        values: defaultdict[tuple[str, int, int, int | None], set[float]] = defaultdict(set)
        for sample in samples:
            values[_place(sample)].add(_measured(sample))
        self._cluster = {place: _clusters(sorted(found), identifier=place[0]) for place, found in values.items()}

    def __call__(self, sample: Sample) -> _Class:
        place = _place(sample)
        return (*place, self._cluster[place][_measured(sample)])


def _place(sample: Sample) -> tuple[str, int, int, int | None]:
    numbered = sample.kind in (SampleKind.CATEGORY, SampleKind.WORKOUT)
    return (sample.identifier, _second(sample.start), _second(sample.end), sample.category if numbered else None)


def _measured(sample: Sample) -> float:
    return sample.value if sample.kind is SampleKind.QUANTITY and sample.value is not None else 0.0


def _second(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(seconds=1)


def _clusters(values: Sequence[float], *, identifier: str) -> dict[float, int]:
    known = get_registry().get(identifier)
    tolerance = STONE_TOLERANCE if known is not None and known.canonical_unit == "kg" else TOLERANCE
    cluster: dict[float, int] = {}
    first = values[0]
    for value in values:
        apart = abs(value - first)
        largest = max(abs(value), abs(first))
        if apart > tolerance * largest:
            assert apart > CLEARLY_APART * largest, "generators keep values equal or clearly apart"
            first = value
        cluster[value] = cluster[first] if first in cluster else len(set(cluster.values()))
    return cluster


def _row(sample: Sample, *, ordinal: int | None) -> Row:
    return Row(
        type=sample.identifier,
        start=sample.start,
        end=sample.end,
        uuid=sample.uuid,
        value=sample.value,
        category=sample.category,
        unit=sample.unit,
        metadata=canonical(json.loads(sample.metadata) if sample.metadata else None),
        source=sample.source.name if sample.source is not None else None,
        rank=sample.rank,
        fp_seq=ordinal,
    )
