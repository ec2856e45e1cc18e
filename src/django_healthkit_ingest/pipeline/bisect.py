"""Find the records that a chunk keeps dying of, set them aside, and let the rest in."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Unpack
from uuid import UUID

from django.db import connections, transaction

from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import ImportBatch, ImportChunk, database
from django_healthkit_ingest.pipeline.dispatch import dispatch
from django_healthkit_ingest.pipeline.replay import Selection, find
from django_healthkit_ingest.pipeline.store.locks import Scope, lock_user
from django_healthkit_ingest.pipeline.trial import Outcome, Trials
from django_healthkit_ingest.queues import in_this_context, lease

MOST = 50
"""A chunk with more poison than this has another illness: it is too large for its worker, say."""

Run = Callable[[Collection[int]], Outcome]

PAUSES = (1.0, 5.0)
"""Seconds before a trial is repeated that the database had no time for."""


class NotTheRecords(Exception):
    """The chunk cannot be run whatever is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One chunk. ``set_aside`` are places in the request's array; None: no record is to blame, the chunk stays FAILED.

    Empty: it runs as it is, so whatever it died of is gone.
    """

    batch: UUID
    chunk: int
    section: str
    received: int
    set_aside: tuple[int, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Solved:
    chunk_id: int
    claim_no: int
    set_aside: tuple[int, ...]


def bisect(**selection: Unpack[Selection]) -> Iterator[Examined]:
    """Examine the chunks that are FAILED because their attempts are exhausted, and put those that can be run back to
    work, with what kills them set aside as rejected (``poison``). A plain replay keeps it so.

    Ranges of the payload are run and rolled back in a process of its own (``trial``), under the user's lock, which may
    take minutes. Only finished batches. Raises PayloadUnavailable as ``replay`` does.
    """
    using = database()
    selection["only_failed"] = True
    for user_id, batch_id in find(using=using, **selection).ready:
        solved = []
        chunks = ImportChunk.objects.using(using).filter(batch_id=batch_id).given_up().select_related("batch")
        for chunk in chunks.defer("payload").order_by("index"):
            poison = _examine(chunk, using=using)
            if poison is not None:
                solved.append(_Solved(chunk_id=chunk.pk, claim_no=chunk.claim_no, set_aside=poison))
            yield Examined(
                batch=chunk.batch.uuid,
                chunk=chunk.index,
                section=chunk.section,
                received=chunk.received,
                set_aside=poison,
            )
        _reopen(solved, batch_id=batch_id, user_id=user_id, using=using)


def _examine(chunk: ImportChunk, *, using: str) -> tuple[int, ...] | None:
    name = str(connections[using].settings_dict["NAME"])
    records = range(chunk.first_index, chunk.first_index + chunk.received)
    with Trials(chunk.pk, alias=using, database_name=name, patience=lease()) as trials:
        try:
            return find_poison(records, known=chunk.set_aside or (), run=trials.run)
        except NotTheRecords:
            return None


def find_poison(records: Collection[int], *, known: Collection[int], run: Run) -> tuple[int, ...]:
    """What has to be left out, with what was known before; in the end all the rest has been run together.

    ``run`` runs the chunk without the records it is given. Halves are taken in one after the other, each beside what
    has been taken in before, so that of records that kill only together one is found. Raises NotTheRecords, also if
    there is more poison than ``MOST``.
    """
    everything = frozenset(records)
    poison = set(known)
    taken: set[int] = set()
    parts = [sorted(everything - poison)]
    while parts:
        part = parts.pop()
        if _is_sound(everything - taken.union(part), everything=everything, run=run):
            taken.update(part)
        elif len(part) > 1:
            middle = len(part) // 2
            parts += (part[middle:], part[:middle])
        else:
            poison.update(part)
            if len(poison) > MOST:
                raise NotTheRecords
    return tuple(sorted(poison))


def _is_sound(left_out: frozenset[int], *, everything: frozenset[int], run: Run) -> bool:
    """Raises NotTheRecords if a trial of nothing ends no better."""
    outcome = _outcome(left_out, run=run)
    if outcome is Outcome.SOUND:
        return True
    if outcome is Outcome.REFUSED or _outcome(everything, run=run) is not Outcome.SOUND:
        raise NotTheRecords
    return False


def _outcome(left_out: frozenset[int], *, run: Run) -> Outcome:
    for pause in PAUSES:
        outcome = run(left_out)
        if outcome is not Outcome.BUSY:
            return outcome
        time.sleep(pause)
    return run(left_out)


def _reopen(solved: Sequence[_Solved], *, batch_id: int, user_id: Any, using: str) -> None:
    """Nothing happens to a batch that is no longer finished, or to a chunk that has been run since it was examined."""
    with transaction.atomic(using=using):
        lock_user(user_id, scope=Scope.SAMPLES, using=using)
        batch = ImportBatch.objects.using(using).filter(pk=batch_id, finished_at__isnull=False)
        lane = batch.select_for_update().values_list("lane", flat=True).first()
        if lane is None:
            return
        reopened = 0
        for each in solved:
            mine = ImportChunk.objects.using(using).filter(pk=each.chunk_id, status=Status.FAILED)
            if mine.put_aside(each.set_aside, claim_no=each.claim_no):
                reopened += mine.reopen()
        if reopened:
            batch.reopen()
            hook = in_this_context(partial(_send, user_id, lane))
            transaction.on_commit(hook, using=using, robust=True)


def _send(user_id: Any, lane: str) -> None:
    dispatch(user_id=user_id, lane=lane)
