"""Which error is transient, which permanent: one table. What is in neither escapes, and SQS brings it back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, OperationalError, connections

from django_healthkit_ingest.exceptions import HealthKitIngestError
from django_healthkit_ingest.models import database

TRANSIENT: tuple[type[BaseException], ...] = (OperationalError, InterfaceError, ConnectionError, TimeoutError)
"""The database or storage is away or busy: the chunk goes back and is tried again later."""

TRANSIENT_OF_FILES: tuple[type[BaseException], ...] = (*TRANSIENT, OSError)
"""The same while a file is read, whatever its storage raises; FileNotFoundError is none of them."""

PERMANENT: tuple[type[HealthKitIngestError], ...] = (HealthKitIngestError,)
"""The same chunk would end the same way: it is FAILED with the error's code."""

CONFLICTS = frozenset({"40001", "40P01"})
"""PostgreSQL's serialization_failure and deadlock_detected: the transaction may simply be run again."""

CONFLICT_TRIES = 3

BACKOFF = (timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10))


class LostClaim(Exception):
    """Somebody else holds the newest claim on the chunk or upload, or erased it: nothing of this run is kept."""


class ChunkCrashed(Exception):
    """An error nobody foresaw, by its type alone: its own text may quote the row or record it stumbled over."""


class SplitCrashed(Exception):
    """The same, while a file was being cut into chunks."""


class AcceptCrashed(Exception):
    """The same, while a body was being stored: the host's web server logs what a view raises."""


class TaskCrashed(Exception):
    """The same, in the rest of a task: sending messages, closing batches, sweeping."""


@contextmanager
def quoting_nothing(task: str) -> Iterator[None]:
    """Whatever leaves the block has a text of ours: workers log it, and PostgreSQL's own quote rows."""
    try:
        yield
    except (ChunkCrashed, SplitCrashed, ImproperlyConfigured):
        raise
    except Exception as error:  # noqa: BLE001 - raised again, without its text
        raise TaskCrashed(f"{task}: {_name(error)}").with_traceback(error.__traceback__) from None


def crashed(error: Exception, *, chunk_id: int) -> ChunkCrashed:
    """The error to raise in its place, with its traceback; the message comes back and attempts end it one day."""
    return ChunkCrashed(f"Chunk {chunk_id}: {_name(error)}").with_traceback(error.__traceback__)


def accept_crashed(error: Exception) -> AcceptCrashed:
    return AcceptCrashed(f"A body: {_name(error)}").with_traceback(error.__traceback__)


def split_crashed(error: Exception, *, upload_id: int) -> SplitCrashed:
    return SplitCrashed(f"Upload {upload_id}: {_name(error)}").with_traceback(error.__traceback__)


def _name(error: Exception) -> str:
    state = getattr(error.__cause__, "sqlstate", None)
    return f"{type(error).__name__} {state}" if state else type(error).__name__


def drop_broken_connection() -> None:
    """Outside a transaction Django keeps a connection that broke until the task ends; the next statement needs one."""
    connection = connections[database()]
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()


def is_conflict(error: BaseException) -> bool:
    return getattr(error.__cause__, "sqlstate", None) in CONFLICTS


def backoff(attempt: int) -> timedelta:
    """How long to wait after this many attempts: growing, jittered, below SQS's 900 s."""
    base = BACKOFF[min(max(attempt, 1), len(BACKOFF)) - 1]
    return base * random.uniform(0.8, 1.2)  # noqa: S311 - spreads retries, guards nothing
