from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_healthkit_ingest.core.formats import records
from django_healthkit_ingest.core.formats.records import split_array
from django_healthkit_ingest.exceptions import MalformedBody

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text('",[]{}\\ aü', max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('",[]{}\\', max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(elements=st.lists(JSON, max_size=5), indent=st.sampled_from([None, 2]))
def test_an_array_is_taken_apart_the_same_way_with_and_without_recursion(
    elements: list[object], indent: int | None
) -> None:
    text = json.dumps(elements, indent=indent, ensure_ascii=False).encode()

    assert [msgspec.json.decode(raw) for raw in split_array(text)] == elements
    assert [msgspec.json.decode(raw) for raw in records._split_deep(text)] == elements


def test_a_record_deeper_than_the_stack_is_still_one_element() -> None:
    deep = b"[" * 200_000 + b"]" * 200_000

    raws = split_array(b'[1, "],[", ' + deep + b", {}]")

    assert [bytes(raw) for raw in raws] == [b"1", b'"],["', deep, b"{}"]


@pytest.mark.parametrize("text", [b"", b"{}", b"3", b"[1", b"[1] 2"])
def test_what_is_no_array(text: bytes) -> None:
    with pytest.raises(MalformedBody):
        split_array(text)
