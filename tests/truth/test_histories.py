"""Whatever happens, in whatever order: the table is the one the law says."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.truth.delivery import deliver, stored, unbalanced
from tests.truth.histories import History, histories, received
from tests.truth.oracle import final_table
from tests.truth.profile import HISTORIES, examples


@examples(50)
@given(history=histories(), random=st.randoms(use_true_random=False))
def test_the_law_knows_no_order_and_no_repeats(history: History, random: Random) -> None:
    batches = received(history)
    shuffled = [*batches, *batches[:2]]
    random.shuffle(shuffled)

    assert final_table(shuffled) == final_table(batches)


@pytest.mark.django_db(databases="__all__")
@examples(HISTORIES)
@given(history=histories(), random=st.randoms(use_true_random=False))
def test_any_history_in_any_order_ends_in_the_same_table(
    user_factory: Callable[[], Any], history: History, random: Random
) -> None:
    user = user_factory()

    batches = deliver(history, user=user, random=random)

    assert stored(user) == final_table(received(history))
    assert unbalanced(batches) == []
