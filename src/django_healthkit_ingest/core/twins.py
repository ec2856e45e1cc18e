"""Records without a uuid: which of them may be copies of one and the same sample, and how many there really are.

A phone that sends no uuids sends the same sample again and again, and also two equal meals at the same minute. Within
one batch equal records are so many samples; over batches they are the same ones again. So the number of samples of a
class (same type, seconds, category and value) without uuid is the *maximum* over the batches of what each holds, less
the uuids ever seen with that class, for these are the same samples known better.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import msgspec

from django_healthkit_ingest.core.identity import twin_key
from django_healthkit_ingest.core.registry import SampleKind
from django_healthkit_ingest.core.samples import Sample

TOLERANCE = 2e-5
"""Relative: Apple's export prints 6 digits of the user's preferred unit (at most 5e-6 off), and miles and pounds have
rounded factors (2.5e-6)."""
MASS_TOLERANCE = 1e-4
"""The stone's factor is rounded further (4.6e-5)."""

_MASS = "kg"


class Likeness(msgspec.Struct, frozen=True, order=True, gc=False):
    """What a record without uuid is recognised by: a twin key, and a value that is compared within a tolerance."""

    twin: UUID
    value: float
    tolerance: float = TOLERANCE


def likeness(
    *,
    identifier: str,
    kind: SampleKind | None,
    unit: str,
    start: int,
    end: int,
    value: float | None,
    category: int | None,
) -> Likeness:
    """``start`` and ``end`` in microseconds of Unix time, ``unit`` the type's canonical one. Only quantities differ by
    their value.
    """
    twin = twin_key(identifier=identifier, kind=kind, start=start, end=end, category=category)
    number = value if kind is SampleKind.QUANTITY and value is not None else 0.0
    return Likeness(twin=twin, value=number, tolerance=MASS_TOLERANCE if unit == _MASS else TOLERANCE)


def same_value(one: float, other: float, *, tolerance: float) -> bool:
    return abs(one - other) <= tolerance * max(abs(one), abs(other))


class Classes:
    """Likenesses sorted into classes; the class of one of them is a number.

    Values of one twin key are chained: each is in the class of its neighbour if it is the same within the tolerance.
    That is an equivalence as long as real values of one second are further apart than that, and they are.
    """

    def __init__(self, likenesses: Iterable[Likeness]) -> None:
        self._numbers: dict[tuple[UUID, float], int] = {}
        previous: Likeness | None = None
        number = -1
        for each in sorted(set(likenesses)):
            if (
                previous is None
                or each.twin != previous.twin
                or not same_value(previous.value, each.value, tolerance=max(previous.tolerance, each.tolerance))
            ):
                number += 1
            self._numbers[each.twin, each.value] = number
            previous = each

    def of(self, likeness: Likeness) -> int:
        return self._numbers[likeness.twin, likeness.value]


def rank_of(sample: Sample) -> int:
    return sample.rank


def best_by_ordinal(groups: Iterable[Sequence[Sample]], *, known: int) -> Mapping[int, Sample]:
    """The content of each sample of one class that has no uuid, by its ordinal.

    ``groups`` are the records that were counted together (one batch's), ``known`` the number of uuids ever seen with
    the class: they take the first ordinals. The content of ordinal ``j`` is the best of every group's ``j``-th best, so
    neither the groups' order nor their repetition matters.
    """
    best: dict[int, Sample] = {}
    for group in groups:
        for ordinal, sample in enumerate(sorted(group, key=rank_of, reverse=True)):
            if ordinal >= known and (ordinal not in best or sample.rank > best[ordinal].rank):
                best[ordinal] = sample
    return best
