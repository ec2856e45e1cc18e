"""A hundred drawn interleavings of real connections: the table is the law's, or empty after an erase.

Threads start together, meet again before their first merge takes the user's lock, and doze at drawn statements.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from django.db.models import Model
from hypothesis import given
from hypothesis import strategies as st

from django_healthkit_ingest import models, queues
from django_healthkit_ingest.models import HealthSample, ImportChunk, database
from django_healthkit_ingest.pipeline.accept import accept
from django_healthkit_ingest.pipeline.erase import erase_user
from django_healthkit_ingest.pipeline.process import process
from django_healthkit_ingest.pipeline.store.locks import Scope
from tests.truth.delivery import stored, take_in, unbalanced
from tests.truth.histories import History, Sync, histories, received
from tests.truth.oracle import final_table
from tests.truth.profile import examples

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(databases="__all__", transaction=True)]

PATIENCE = 0.05
"""Seconds that a thread waits for the others before its first merge; some have none to come to."""
NAP = 0.002


@pytest.fixture(autouse=True)
def many_writers(transactional_db: None) -> None:
    if connections[database()].vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time: there is nothing to interleave.")


@dataclass(frozen=True, slots=True)
class Interleaving:
    workers: int
    naps: tuple[frozenset[int], ...]
    """By worker, the numbers of the statements it dozes before."""
    beside: str
    random: Random

    def shares(self, chunk_ids: Collection[int]) -> list[list[int]]:
        """Each chunk to one worker or two, each worker's in an order of its own."""
        shares: list[list[int]] = [[] for _ in range(self.workers)]
        for chunk_id in chunk_ids:
            for worker in self.random.sample(range(self.workers), k=self.random.choice((1, 1, 2))):
                shares[worker].append(chunk_id)
        for share in shares:
            self.random.shuffle(share)
        return shares


INTERLEAVINGS = st.builds(
    Interleaving,
    st.integers(2, 4),
    st.tuples(*[st.frozensets(st.integers(0, 40), max_size=4)] * 4),
    st.sampled_from(("nothing", "nothing", "resend", "erase")),
    st.randoms(use_true_random=False),
)


@examples(100, shrink=False)
@given(history=histories(), interleaving=INTERLEAVINGS)
def test_however_workers_interleave(
    user_factory: Callable[[], Any], messages: Any, history: History, interleaving: Interleaving
) -> None:
    user = user_factory()
    batches = [take_in(sync, user=user, random=interleaving.random) for sync in history]
    chunks = ImportChunk.objects.using(database()).filter(user_id=user.pk)
    shares = interleaving.shares(list(chunks.order_by("pk").values_list("pk", flat=True)))
    jobs: list[Callable[[], object]] = [partial(_work, share) for share in shares]
    if interleaving.beside == "erase":
        jobs.append(partial(erase_user, user_id=user.pk))
    if interleaving.beside == "resend":
        jobs.append(partial(_resend, history[0], user))

    _run_together(jobs, naps=[*interleaving.naps, frozenset[int]()])

    if interleaving.beside == "erase":
        assert _left_of(user) == {}
    else:
        assert stored(user) == final_table(received(history))
        assert unbalanced(batches) == []
        assert not chunks.unfinished().exists()


def _work(share: Sequence[int]) -> None:
    for chunk_id in share:
        process(chunk_id=chunk_id, task_id=str(uuid4()))


def _resend(sync: Sync, user: Any) -> None:
    batch = accept(sync.body(), user=user, format=sync.format)
    _work(list(batch.chunks.values_list("pk", flat=True)))


def _run_together(jobs: Sequence[Callable[[], object]], *, naps: Sequence[frozenset[int]]) -> None:
    """Raises the first error of any of them."""
    start, merges = threading.Barrier(len(jobs)), threading.Barrier(len(jobs))
    errors: list[Exception] = []

    def run(job: Callable[[], object], naps: frozenset[int]) -> None:
        try:
            with queues.captured(), connections[database()].execute_wrapper(_Traffic(merges, naps)):
                start.wait(60)
                job()
        except Exception as error:  # noqa: BLE001 - handed to the asserting thread
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=pair) for pair in zip(jobs, naps, strict=False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]


class _Traffic:
    """Holds one connection's statements up."""

    def __init__(self, merges: threading.Barrier, naps: frozenset[int]) -> None:
        self._merges, self._naps, self._numbers, self._met = merges, naps, count(), False

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if next(self._numbers) in self._naps:
            time.sleep(NAP)
        if not self._met and "pg_advisory_xact_lock" in sql and params[0] == Scope.SAMPLES:
            self._met = True
            with suppress(threading.BrokenBarrierError):
                self._merges.wait(PATIENCE)
        return execute(sql, params, many, context)


def _left_of(user: Any) -> dict[str, int]:
    """Rows of the user in any of our tables that holds health data or traces of it."""
    tables: tuple[type[Model], ...] = (
        HealthSample,
        models.SampleSeries,
        models.Tombstone,
        models.Trace,
        models.Tally,
        models.Membership,
    )
    tables += (models.ImportBatch, ImportChunk, models.Source)
    counts = {
        table.__name__: table._default_manager.using(database()).filter(user_id=user.pk).count() for table in tables
    }
    return {name: number for name, number in counts.items() if number}
