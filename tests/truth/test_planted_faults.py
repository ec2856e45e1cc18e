"""The eyes of these tests: for each fault a merge could have, the generator finds a history that shows it.

The fault is planted in the oracle. Some history of the generator's, on which the faulty law gives another table, goes
to the database in several orders: what is stored must be the law's table and not the faulty one.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, settings

from tests.truth.delivery import deliver, stored
from tests.truth.histories import NUMBERS, History, histories, received
from tests.truth.oracle import FAULTS, Law, final_table
from tests.truth.profile import HISTORIES

ORDERS = 16
FEW = 6
"""Records and deletions of one history, so that one of the orders is the one that a fault stumbles over."""
REACH = 20 * HISTORIES
"""Histories to look through; the rarest faults show in one of a hundred."""
RARE = {
    "a tombstone forgets the sync version": (NUMBERS[0],),
    "deletions do not bury members": (NUMBERS[2],),
}
"""Which of the generator's themes to look through for what shows in few histories."""


def betrays(history: History, law: Law) -> bool:
    if sum(len(sync.records) + len(sync.deleted) for sync in history) > FEW:
        return False
    batches = received(history)
    return final_table(batches, law=law) != final_table(batches)


@pytest.mark.acceptance
@pytest.mark.django_db(databases="__all__")
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_caught(user_factory: Callable[[], Any], fault: str) -> None:
    law = FAULTS[fault]
    reach = settings(
        max_examples=REACH,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )

    history = find(histories(numbers=RARE.get(fault, NUMBERS)), lambda history: betrays(history, law), settings=reach)

    batches = received(history)
    expected, wrong = final_table(batches), final_table(batches, law=law)
    for seed in range(ORDERS):
        user = user_factory()
        deliver(history, user=user, random=Random(seed), chunk_sizes=(1,), repeats=0)
        assert stored(user) == expected != wrong
