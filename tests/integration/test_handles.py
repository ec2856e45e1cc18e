from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_healthkit_ingest.pipeline.handles import seal, seal_each, unseal

KEYS = st.integers(min_value=-(2**63), max_value=2**63 - 1)


@given(st.lists(KEYS, min_size=1, max_size=3))
def test_a_handle_opens_again(numbers: list[int]) -> None:
    assert unseal(seal(*numbers, scope="sample:1"), scope="sample:1") == tuple(numbers)


@given(st.lists(KEYS, max_size=5))
def test_many_are_sealed_as_each_would_be(numbers: list[int]) -> None:
    assert seal_each(numbers, scope="sample:1") == [seal(number, scope="sample:1") for number in numbers]


def test_a_handle_is_of_one_scope() -> None:
    handle = seal(7, scope="sample:1")

    assert unseal(handle, scope="sample:2") is None
    assert unseal(handle, scope="imports:1") is None


def test_neighbours_look_nothing_alike_and_repeats_the_same() -> None:
    first, second = seal(1000, scope="sample:1"), seal(1001, scope="sample:1")

    assert seal(1000, scope="sample:1") == first
    assert sum(one == other for one, other in zip(first, second, strict=True)) < len(first) / 2


@pytest.mark.parametrize("position", range(22))
def test_every_changed_character_is_noticed(position: int) -> None:
    handle = seal(7, scope="sample:1")
    other = "A" if handle[position] != "A" else "Q"  # differ in more than the last two, unused bits

    assert unseal(handle[:position] + other + handle[position + 1 :], scope="sample:1") is None


@pytest.mark.parametrize("text", ["", "7", "x" * 22, "é", "=" * 22, "a" * 5000, "!!!!", "AAAA", "\0"])
def test_anything_else_is_no_handle(text: str) -> None:
    assert unseal(text, scope="sample:1") is None


def test_handles_outlive_a_change_of_the_secret_key(settings: object) -> None:
    handle = seal(7, scope="sample:1")

    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]  # type: ignore[attr-defined]
    settings.SECRET_KEY = "another"  # type: ignore[attr-defined]

    assert unseal(handle, scope="sample:1") == (7,)
    settings.SECRET_KEY_FALLBACKS = []  # type: ignore[attr-defined]
    assert unseal(handle, scope="sample:1") is None
