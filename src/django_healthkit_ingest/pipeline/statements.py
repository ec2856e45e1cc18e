"""What accept asks and says of the database, in statements written by hand.

Each takes PostgreSQL a fraction of a millisecond. Django takes longer to put one together, and sends five where one
will do; for a request that has only a few milliseconds, that was most of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

from django_healthkit_ingest.core.states import UNFINISHED, Pausable, Status
from django_healthkit_ingest.models import Erasure, ImportBatch, ImportChunk, Switch, database
from django_healthkit_ingest.pipeline.copying import copy_rows, document

_UNFINISHED = ", ".join(f"'{status}'" for status in UNFINISHED)


def may_be_refused(
    *, user_id: Any, key: str | None, max_pending: int | None, late: datetime | None, stuck: int
) -> bool:
    """Whether any of this holds: intake is paused, an erasure of the user's is not finished, the user has used this
    idempotency key, ``max_pending`` of the user's records or more are waiting, more than ``stuck`` chunks have been
    waiting since before ``late``. Which of them, and whether it matters, is asked then.
    """
    connection = connections[database()]
    switches, erasures, batches, chunks = (_table(each) for each in (Switch, Erasure, ImportBatch, ImportChunk))
    user = _user(user_id, connection)
    reasons = [
        f"EXISTS (SELECT 1 FROM {switches} WHERE name = '{Pausable.INTAKE}')",
        f"EXISTS (SELECT 1 FROM {erasures} WHERE user_id = %s AND status IN ({_UNFINISHED}))",
    ]
    given: list[Any] = [user]
    if key is not None:
        reasons.append(f"EXISTS (SELECT 1 FROM {batches} WHERE user_id = %s AND idempotency_key = %s)")
        given += [user, key]
    if max_pending is not None:
        pending = f"SELECT COALESCE(SUM(received), 0) FROM {chunks} WHERE user_id = %s AND status IN ({_UNFINISHED})"
        reasons.append(f"({pending}) >= %s")
        given += [user, max_pending]
    if late is not None:
        waiting = f"SELECT 1 FROM {chunks} WHERE status = '{Status.PENDING}' AND due_at < %s"
        reasons.append(f"EXISTS ({waiting} ORDER BY due_at LIMIT 1 OFFSET {stuck:d})")
        given.append(connection.ops.adapt_datetimefield_value(late))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {' OR '.join(reasons)}", given)
        return bool(cursor.fetchone()[0])


def pace(batch: ImportBatch, *, since: datetime, chunks: int) -> tuple[timedelta | None, int]:
    """How long each of the last so many chunks took, on average, that were completed ``since`` then, None if there was
    none; and how many unfinished chunks the batch and those before it in its user's lane have.
    """
    connection = connections[database()]
    table = _table(ImportChunk)
    took, _ = connection.ops.subtract_temporals("DateTimeField", ("finished_at", ()), ("due_at", ()))
    completed = f"status = '{Status.COMPLETED}' AND payload IS NOT NULL AND due_at IS NOT NULL AND finished_at >= %s"
    lately = f"SELECT due_at, finished_at FROM {table} WHERE {completed} ORDER BY finished_at DESC LIMIT {chunks:d}"
    ahead = f"user_id = %s AND lane = %s AND batch_id <= %s AND status IN ({_UNFINISHED})"
    given = [connection.ops.adapt_datetimefield_value(since), _user(batch.user_id, connection), batch.lane, batch.pk]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT (SELECT AVG({took}) FROM ({lately}) AS lately), (SELECT COUNT(*) FROM {table} WHERE {ahead})",
            given,
        )
        mean, number = cursor.fetchone()
    # SQLite has no type for it, and Django's function for it answers microseconds.
    return (timedelta(microseconds=mean) if isinstance(mean, float) else mean), number


def insert_chunks(rows: Sequence[ImportChunk], *, using: str) -> None:
    """New ones; they do not learn their keys. Raises Django's database errors.

    PostgreSQL takes them by binary COPY in less than half the time of an INSERT, whose text has every payload in it, in
    hexadecimal, to be put together here and taken apart there.
    """
    connection = connections[using]
    if connection.vendor != "postgresql":
        ImportChunk.objects.using(using).bulk_create(rows)
        return
    fields = [field for field in ImportChunk._meta.concrete_fields if not field.primary_key]
    with connection.cursor() as cursor:
        copy_rows(cursor, ([_value(row, field, connection) for field in fields] for row in rows), fields=fields)


def _value(row: ImportChunk, field: models.Field[Any, Any], connection: BaseDatabaseWrapper) -> Any:
    value = getattr(row, field.attname)
    if isinstance(field, models.JSONField):
        return None if value is None else document(json.dumps(value))
    return field.get_db_prep_save(value, connection)


def _table(model: type[models.Model]) -> str:
    return connections[database()].ops.quote_name(model._meta.db_table)


def _user(user_id: Any, connection: BaseDatabaseWrapper) -> Any:
    """As the database has the host's keys."""
    return ImportBatch._meta.get_field("user").get_db_prep_value(user_id, connection)
