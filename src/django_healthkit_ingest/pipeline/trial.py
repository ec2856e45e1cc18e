"""A chunk run on trial, in a process of its own: whatever kills that process is survived, and noticed.

The child starts from nothing (``spawn``), so this module must be importable before Django is set up.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Collection
from datetime import timedelta
from enum import StrEnum
from types import TracebackType
from typing import TYPE_CHECKING, Self

import django

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess


STARTS_WITHIN = timedelta(minutes=2)


class Outcome(StrEnum):
    """What became of a trial."""

    SOUND = "sound"
    """It ran to its end; then everything was rolled back."""
    BROKEN = "broken"
    """It raised what nobody foresaw, killed its process, or did not end in time."""
    BUSY = "busy"
    """The database or storage was away or busy: no verdict."""
    REFUSED = "refused"
    """A permanent error of the whole chunk, which no record is to blame for; or the chunk is gone."""


class Trials:
    """Of one chunk, one after the other. The child lives until a trial kills it or ``with`` ends."""

    def __init__(self, chunk_id: int, *, alias: str, database_name: str, patience: timedelta) -> None:
        """The child opens the database that its parent has open under this alias, which may be a test's."""
        self._place = (chunk_id, alias, database_name)
        self._patience = patience.total_seconds()
        self._child: SpawnProcess | None = None
        self._line: Connection | None = None

    def run(self, left_out: Collection[int]) -> Outcome:
        """Run the chunk but for the records at these places of the request's array."""
        try:
            line = self._line or self._start()
            line.send(sorted(left_out))
            if line.poll(self._patience):
                return Outcome(line.recv())
        except (EOFError, OSError):  # it is dead
            pass
        self._stop()
        return Outcome.BROKEN

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        self._line, theirs = context.Pipe()
        self._child = context.Process(target=serve, args=(theirs, *self._place), daemon=True)
        self._child.start()
        theirs.close()  # or the end of the child would not be the end of the line
        if self._line.poll(STARTS_WITHIN.total_seconds()):
            self._line.recv()
        return self._line

    def _stop(self) -> None:
        if self._line is not None and self._child is not None:
            self._line.close()
            self._child.kill()
            self._child.join()
        self._line = self._child = None


def serve(line: Connection, chunk_id: int, alias: str, database_name: str) -> None:
    """The child: run the chunk without the records that it is told, answer the outcome, and again."""
    django.setup()
    from django.db import connections

    logging.disable(logging.CRITICAL)  # what it says is its outcome
    connections[alias].settings_dict["NAME"] = database_name
    line.send("ready")
    while True:
        try:
            left_out = line.recv()
        except EOFError:  # the parent has hung up
            return
        line.send(_try(chunk_id, left_out=left_out, alias=alias).value)


def _try(chunk_id: int, *, left_out: list[int], alias: str) -> Outcome:
    from django_healthkit_ingest.models import ImportChunk
    from django_healthkit_ingest.pipeline.complete import rehearse
    from django_healthkit_ingest.pipeline.failures import PERMANENT, TRANSIENT, drop_broken_connection

    try:
        chunk = ImportChunk.objects.using(alias).select_related("batch").filter(pk=chunk_id).first()
        if chunk is None:
            return Outcome.REFUSED
        chunk.set_aside = left_out
        rehearse(chunk)
    except PERMANENT:
        return Outcome.REFUSED
    except TRANSIENT:
        drop_broken_connection()
        return Outcome.BUSY
    except Exception:  # noqa: BLE001 - the verdict is all that is asked for, and its text may quote a record
        return Outcome.BROKEN
    return Outcome.SOUND
