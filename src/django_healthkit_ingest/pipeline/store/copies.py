"""Records without a uuid, counted and not matched: how many rows there are is ``core.twins``' law.

Rows without uuid carry their ordinal in ``fp_seq``. Visible are the ordinals of a class from the number of uuids ever
seen with it up to the largest count of any batch. Both numbers only grow, so an ordinal that a uuid has taken never
comes back, and rows and traces are memory enough.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any
from uuid import UUID

from django_healthkit_ingest.core import samples
from django_healthkit_ingest.core.identity import twin_key
from django_healthkit_ingest.core.registry import SampleKind
from django_healthkit_ingest.core.twins import Classes, Likeness, best_by_ordinal
from django_healthkit_ingest.models import HealthSample, Trace
from django_healthkit_ingest.pipeline.store.engine import Candidate, Moment, Row, keys_of, moment, slices
from django_healthkit_ingest.pipeline.store.looks import look, look_of_row
from django_healthkit_ingest.pipeline.store.place import Place
from django_healthkit_ingest.pipeline.store.series import drop_series, store_series
from django_healthkit_ingest.pipeline.store.table import SampleTable
from django_healthkit_ingest.pipeline.store.tallies import Shared, find_shared, outline, short_key, write_tallies

_QUANTITY = SampleKind.QUANTITY

Recall = Callable[[Sequence[int]], Iterable[samples.Sample]]
"""The records of other chunks of the batch, by the chunks' keys; what is purged is left out."""


@dataclass(slots=True, kw_only=True)
class Counted:
    """What became of records without uuid; ``inserted_members`` are rows beside them."""

    inserted: int = 0
    updated: int = 0
    inserted_members: int = 0


@dataclass(slots=True)
class _Class:
    rows: dict[int, HealthSample] = field(default_factory=dict)
    """Without uuid, by ordinal."""
    uuids: set[UUID] = field(default_factory=set)
    """Ever seen."""
    is_alive: bool = False


def absorb(
    table: SampleTable, looks: Iterable[Likeness], *, newcomers: Iterable[Likeness], place: Place
) -> tuple[int, int]:
    """Rows go whose ordinal a uuid has taken: how many, and how many of them records of this chunk took.

    ``looks`` are those of all uuids this merge brought, changed or buried; ``newcomers``, of records that made a row.
    """
    wanted = {*looks, *newcomers}
    rows = _rows_like(wanted, place=place)
    if not rows:
        return 0, 0
    state = _State(rows, table.neighbours(map(_moment, rows)), more=wanted, place=place)
    gone = [row for row in rows if row.fp_seq < len(state.of(look_of_row(row)).uuids)]
    _delete(gone, place=place)
    removed = Counter(state.classes.of(look_of_row(row)) for row in gone)
    taken = Counter(state.classes.of(each) for each in newcomers)
    return len(gone), (removed & taken).total()


def count(
    table: SampleTable,
    records: Sequence[samples.Sample],
    members: Sequence[samples.Sample],
    *,
    looks: Mapping[int, Likeness],
    place: Place,
    recall: Recall,
) -> Counted:
    """Store records without uuid; ``looks`` by the records' ``id``.

    ``members`` of correlations are counted apart from ``records``, for Apple's export lists them outside, too.
    """
    own = [*records, *members]
    keys = [short_key(looks[id(each)].twin) for each in own]
    outlines = outline(own, keys, type_id=table.type_id)
    shared = find_shared(outlines, place=place)
    alone = _alone(table, own, keys=keys, looks=looks, shared=shared)
    counted = Counted()
    if alone:
        records, others = _parted(records, alone)
        members, inside = _parted(members, alone)
        counted = Counted(inserted=len(others), inserted_members=len(inside))
        new = [*others, *inside]
        table.insert_rows(table.row(each, twin=looks[id(each)].twin) for each in new)
        store_series((each for each in new if each.series), user_id=place.user_id, using=place.using)
    if records or members:
        more = _count(table, records, members, looks=looks, shared=shared, place=place, recall=recall)
        counted.inserted += more.inserted
        counted.updated += more.updated
        counted.inserted_members += more.inserted_members
    write_tallies(outlines, place=place)
    return counted


def _parted(records: Sequence[samples.Sample], alone: Set[int]) -> tuple[list[samples.Sample], list[samples.Sample]]:
    return [each for each in records if id(each) not in alone], [each for each in records if id(each) in alone]


def _alone(
    table: SampleTable,
    own: Sequence[samples.Sample],
    *,
    keys: Sequence[int],
    looks: Mapping[int, Likeness],
    shared: Shared,
) -> set[int]:
    """Records, by ``id``, that nothing resembles: neither another one here, nor in the batch, nor a row or a trace.

    Each of them is one row, whatever else is counted. ``keys`` are the short ones of ``own``.
    """
    numbers = Counter(keys)
    candidates = [each for each, key in zip(own, keys, strict=True) if numbers[key] == 1 and key not in shared.keys]
    twins = [looks[id(each)].twin for each in candidates]
    asked = [
        # Of a quantity it is the same key: nothing but type and time is in it.
        Candidate(twin, twin if each.kind is _QUANTITY else _unread_twin(each) or twin, each)
        for each, twin in zip(candidates, twins, strict=True)
    ]
    like = table.resembled(asked)
    return {id(each) for number, each in enumerate(candidates) if number not in like}


def _unread_twin(record: samples.Sample) -> UUID | None:
    """The twin key of the row that the record left while its type was not known."""
    if not record.known or record.details is not None:
        return None
    times = {"start": record.start_us, "end": record.end_us}
    return twin_key(identifier=record.identifier, kind=None, category=None, **times)


def _count(
    table: SampleTable,
    records: Sequence[samples.Sample],
    members: Sequence[samples.Sample],
    *,
    looks: Mapping[int, Likeness],
    shared: Shared,
    place: Place,
    recall: Recall,
) -> Counted:
    own = [*records, *members]
    looks = {id(each): looks[id(each)] for each in own}
    elsewhere = _recall(shared, recall=recall)
    everything = [[*records, *elsewhere[False]], [*members, *elsewhere[True]]]
    looks |= {id(each): look(each) for group in elsewhere.values() for each in group}
    outgrown = _outgrown(own, place=place)
    gone = {row.pk for row in outgrown}
    rows = [row for row in _rows_like(looks.values(), place=place) if row.pk not in gone]
    state = _State(rows, table.neighbours(map(table.moment, own)), more=looks.values(), place=place)

    mine = {state.classes.of(looks[id(each)]) for each in own}
    groups: dict[int, list[list[samples.Sample]]] = defaultdict(list)
    for group in everything:
        sorted_out: dict[int, list[samples.Sample]] = defaultdict(list)
        for each in group:
            if (number := state.classes.of(looks[id(each)])) in mine:
                sorted_out[number].append(each)
        for number, equals in sorted_out.items():
            groups[number].append(equals)

    counted = Counted()
    inside = {id(each) for each in everything[True]}
    replaced: list[HealthSample] = list(outgrown)
    wanted: list[Row] = []
    for number, equals_by_group in groups.items():
        known = state.by_number[number]
        best = best_by_ordinal(equals_by_group, known=len(known.uuids))
        known.is_alive = known.is_alive or bool(best)
        for ordinal, sample in best.items():
            row = known.rows.get(ordinal)
            if row is not None and row.rank >= sample.rank:
                continue
            wanted.append(table.row(sample, twin=looks[id(sample)].twin, fp_seq=ordinal))
            if row is not None:
                replaced.append(row)
                counted.updated += 1
            elif id(sample) in inside:
                counted.inserted_members += 1
            else:
                counted.inserted += 1
    _delete(replaced, place=place)
    if wanted:
        table.insert_rows(wanted)
    living = (each for each in own if state.of(looks[id(each)]).is_alive)
    store_series(living, user_id=place.user_id, using=place.using)
    better_known = min(len(outgrown), counted.inserted)
    counted.inserted = min(counted.inserted - better_known, len(records))
    counted.updated = min(counted.updated + better_known, len(records) - counted.inserted)
    return counted


class _State:
    """The classes at hand: from rows without uuid, rows with one that share their seconds, and traces."""

    def __init__(
        self, rows: Sequence[HealthSample], neighbours: Iterable[int], *, more: Iterable[Likeness], place: Place
    ) -> None:
        live = _rows(neighbours, place=place)
        looks = {*map(look_of_row, (*rows, *live)), *more}
        tolerances = {each.twin: each.tolerance for each in looks}
        traces = [
            (Likeness(twin=twin, value=value, tolerance=tolerances[twin]), uuid)
            for part in slices(tolerances)
            for twin, value, uuid in Trace.objects.using(place.using)
            .filter(user_id=place.user_id, twin__in=part)
            .values_list("twin", "value", "uuid")
        ]
        self.classes = Classes([*looks, *(each for each, _ in traces)])
        self.by_number: dict[int, _Class] = defaultdict(_Class)
        for row in rows:
            self.of(look_of_row(row)).rows[row.fp_seq] = row
        for row in live:
            if row.uuid is not None:
                self.of(look_of_row(row)).uuids.add(row.uuid)
                self.of(look_of_row(row)).is_alive = True
        for each, uuid in traces:
            self.of(each).uuids.add(uuid)

    def of(self, likeness: Likeness) -> _Class:
        return self.by_number[self.classes.of(likeness)]


def _outgrown(own: Sequence[samples.Sample], *, place: Place) -> list[HealthSample]:
    """Rows that the batch left when it was read last and these records' types were not known, one for each record.

    Read with what is known now the record is of another class, and nothing else would say that it is the same one.
    """
    numbers = Counter(twin for each in own if (twin := _unread_twin(each)) is not None)
    found: list[HealthSample] = []
    keys = keys_of(numbers, column="twin", user_id=place.user_id, using=place.using)
    unread = _rows(keys, place=place, batch_id=place.batch_id, details__isnull=False)
    for row in sorted(unread, key=attrgetter("pk")):
        if row.twin is not None and numbers[row.twin] > 0:
            numbers[row.twin] -= 1
            found.append(row)
    return found


def _moment(row: HealthSample) -> Moment:
    return moment(row.type_id, row.start, row.end)


def _rows(keys: Iterable[int], *, place: Place, **more: Any) -> list[HealthSample]:
    rows = HealthSample.objects.using(place.using).filter(**more).select_related("type").defer("metadata", "details")
    return [row for part in slices(keys) for row in rows.filter(pk__in=part)]


def _rows_like(looks: Iterable[Likeness], *, place: Place) -> list[HealthSample]:
    twins = (each.twin for each in looks)
    return _rows(keys_of(twins, column="twin", user_id=place.user_id, using=place.using), place=place)


def _recall(shared: Shared, *, recall: Recall) -> Mapping[bool, list[samples.Sample]]:
    """Records of these keys in the batch's other chunks: outside correlations, and inside."""
    found: dict[bool, list[samples.Sample]] = {False: [], True: []}
    for record in recall(shared.chunk_ids) if shared.chunk_ids else ():
        for is_member, each in ((False, record), *((True, member) for member in record.members)):
            if each.uuid is None and short_key(look(each).twin) in shared.keys:
                found[is_member].append(each)
    return found


def _delete(rows: Sequence[HealthSample], *, place: Place) -> None:
    for part in slices(row.pk for row in rows):
        HealthSample.objects.using(place.using).filter(pk__in=part)._raw_delete(place.using)
    drop_series(rows, user_id=place.user_id, using=place.using)
