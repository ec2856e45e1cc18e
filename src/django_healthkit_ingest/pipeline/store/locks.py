"""One way to serialise the writers of one user's rows; every verb that writes samples takes it first."""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import Any

from django.db import connections

from django_healthkit_ingest.models import ImportChunk


class Scope(IntEnum):
    """What is being serialised; scopes do not wait for each other."""

    SAMPLES = 0x484B01
    DISPATCH = 0x484B02


def read_committed(using: str) -> None:
    """Whatever level the host or the role defaults to: a stricter one's snapshot would predate the user's lock.

    The first statement of a transaction.
    """
    connection = connections[using]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")


def lock_user(user_id: Any, *, scope: Scope, using: str) -> None:
    """Hold the user's lock until the surrounding transaction ends.

    PostgreSQL: a transaction-level advisory lock, which also lives behind a transaction pooler. The next statement
    takes a new snapshot (READ COMMITTED), so it sees all that the previous holder committed. Two users may share a
    32-bit hash: they then wait for each other and nothing else. SQLite: an UPDATE of no row makes this transaction the
    one writer of the whole file before anything is read.
    """
    connection = connections[using]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            digest = hashlib.blake2b(str(user_id).encode(), digest_size=4).digest()
            key = int.from_bytes(digest, "big", signed=True)
            cursor.execute("SELECT pg_advisory_xact_lock(%s::int4, %s::int4)", [int(scope), key])
        else:
            table = connection.ops.quote_name(ImportChunk._meta.db_table)
            cursor.execute(f"UPDATE {table} SET status = status WHERE id IS NULL")
