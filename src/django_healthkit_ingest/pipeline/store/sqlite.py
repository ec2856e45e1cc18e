"""Staging on SQLite, the embedded default: one ``executemany`` into a temporary table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import connections
from django.db.backends.utils import CursorWrapper

from django_healthkit_ingest.pipeline.store.staging import MARK, STAGED, Row, sample_field

TABLE = "hki_stage"
JSON_TEXT = ("metadata", "details")


def stage(cursor: CursorWrapper, rows: Iterable[Row], *, using: str) -> str:
    connection = connections[using]
    fields = [sample_field(name) for name in STAGED]
    columns = [*(connection.ops.quote_name(str(field.column)) for field in fields), MARK]
    cursor.execute(f"CREATE TEMP TABLE IF NOT EXISTS {TABLE} ({', '.join(columns)})")
    cursor.execute(f"DELETE FROM {TABLE}")
    prepare = [_as_is if field.name in JSON_TEXT else field.get_db_prep_value for field in fields] + [_as_is]
    places = ", ".join("%s" for _ in columns)
    cursor.executemany(
        f"INSERT INTO {TABLE} ({', '.join(columns)}) VALUES ({places})",
        [[one(value, connection) for one, value in zip(prepare, row, strict=True)] for row in rows],
    )
    return TABLE


def read(field: str, column: str) -> str:
    return column


def second(column: str) -> str:
    """Instants are text, ``2026-01-05 07:00:00.123456``, in UTC."""
    return f"substr({column}, 1, 19)"


def next_second(column: str) -> str:
    return f"substr({column}, 1, 19) || '~'"  # greater than the full stop before the fraction


def _as_is(value: Any, connection: Any) -> Any:
    return value
