from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_healthkit_ingest.core.identity import twin_key
from django_healthkit_ingest.core.registry import SampleKind
from django_healthkit_ingest.core.samples import Sample, ZoneBasis
from django_healthkit_ingest.core.timestamps import microseconds
from django_healthkit_ingest.core.twins import (
    MASS_TOLERANCE,
    TOLERANCE,
    Classes,
    Likeness,
    best_by_ordinal,
    likeness,
    same_value,
)

TWIN = UUID(int=1)
OTHER = UUID(int=2)
MOMENT = datetime(2026, 1, 5, 8, 0, 0, 250_000, tzinfo=UTC)


def look(**changes: Any) -> Likeness:
    sample = {
        "identifier": "HKQuantityTypeIdentifierHeartRate",
        "kind": SampleKind.QUANTITY,
        "unit": "count/s",
        "start": microseconds(MOMENT),
        "end": microseconds(MOMENT),
        "value": 1.2,
        "category": None,
    }
    return likeness(**{**sample, **changes})


def ranked(rank: int) -> Sample:
    return Sample(
        index=0,
        identifier="HKQuantityTypeIdentifierHeartRate",
        known=True,
        uuid=None,
        fingerprint=TWIN,
        rank=rank,
        start=MOMENT,
        end=MOMENT,
        start_us=microseconds(MOMENT),
        end_us=microseconds(MOMENT),
        time_zone="",
        zone_basis=ZoneBasis.NONE,
        value=1.0,
        category=None,
        unit="",
        source=None,
        metadata=None,
        details=None,
    )


def test_the_twin_key_never_changes() -> None:
    key = twin_key(
        identifier="HKCategoryTypeIdentifierMenstrualFlow",
        kind=SampleKind.CATEGORY,
        start=microseconds(MOMENT),
        end=microseconds(MOMENT + timedelta(seconds=90)),
        category=3,
    )

    assert key == UUID("7af3e493-ab83-70f3-76e4-ad62d247a1ca")


@pytest.mark.parametrize(
    "change",
    [
        {"identifier": "HKQuantityTypeIdentifierRestingHeartRate"},
        {"start": microseconds(MOMENT - timedelta(seconds=1))},
        {"end": microseconds(MOMENT + timedelta(seconds=1))},
        {"kind": SampleKind.CATEGORY, "category": 2},
    ],
)
def test_type_seconds_and_category_tell_twins_apart(change: dict[str, Any]) -> None:
    assert look(**change).twin != look().twin


@pytest.mark.parametrize(
    "change",
    [
        {"start": microseconds(MOMENT) + 500_000},
        {"end": microseconds(MOMENT) - 250_000},
        {"value": 99.0},
    ],
)
def test_fractions_of_a_second_and_values_do_not_change_the_twin_key(change: dict[str, Any]) -> None:
    assert look(**change).twin == look().twin


def test_only_quantities_differ_by_value() -> None:
    assert look(kind=SampleKind.CATEGORY, value=5.0, category=1).value == 0.0
    assert look(kind=None, value=5.0).value == 0.0
    assert look(value=5.0).value == 5.0


def test_mass_is_compared_less_closely() -> None:
    """63.50293 kg is 10 stone; apps that round the factor write 63.5."""
    assert look(unit="kg").tolerance == MASS_TOLERANCE
    assert same_value(63.50293, 63.5, tolerance=MASS_TOLERANCE)
    assert not same_value(63.50293, 63.5, tolerance=TOLERANCE)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1609.344, 1609.34, True),
        (0.45359237, 0.453592, True),
        (1000.0, 1000.02, True),
        (1000.0, 1000.03, False),
        (0.0, 0.0, True),
        (0.0, 1e-9, False),
        (-5.0, -5.00001, True),
    ],
)
def test_values_are_the_same_within_what_export_prints(one: float, other: float, same: bool) -> None:
    assert same_value(one, other, tolerance=TOLERANCE) is same
    assert same_value(other, one, tolerance=TOLERANCE) is same


def test_classes_chain_neighbours_and_keep_twins_apart() -> None:
    first, near, far = (Likeness(twin=TWIN, value=value) for value in (1000.0, 1000.01, 1001.0))
    stranger = Likeness(twin=OTHER, value=1000.0)

    for order in permutations((first, near, far, stranger)):
        classes = Classes(order)

        assert classes.of(first) == classes.of(near)
        assert len({classes.of(each) for each in (first, far, stranger)}) == 3


@given(st.lists(st.lists(st.integers(0, 20), min_size=1, max_size=5), min_size=1, max_size=5), st.integers(0, 4))
def test_the_best_of_every_group_by_ordinal(groups: list[list[int]], known: int) -> None:
    padded = [sorted(group, reverse=True) for group in groups]
    longest = max(map(len, groups))
    expected = {
        ordinal: max(group[ordinal] for group in padded if len(group) > ordinal) for ordinal in range(known, longest)
    }

    for order in (groups, groups[::-1], groups + groups):
        best = best_by_ordinal([[ranked(rank) for rank in group] for group in order], known=known)
        assert {ordinal: sample.rank for ordinal, sample in best.items()} == expected
