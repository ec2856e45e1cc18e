"""Staging on PostgreSQL: binary COPY into a temporary table through psycopg 3.

The table outlives the transaction empty (``ON COMMIT DELETE ROWS``), so that a busy server connection runs no DDL per
chunk; nothing else lives longer than the transaction, so a transaction pooler may hand every chunk another connection.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from django.db.backends.utils import CursorWrapper

from django_healthkit_ingest.pipeline.store.staging import MARK, Row

COLUMNS = {
    "uuid": "uuid",
    "fingerprint": "uuid",
    "rank": "int8",
    "type_id": "int4",
    "start": "timestamptz",
    "end": "timestamptz",
    "value": "float8",
    "category": "int4",
    "raw_unit": "text",
    "time_zone": "text",
    "zone_basis": "text",
    "source_id": "int4",
    "metadata": "text",
    "details": "text",
    "sync_version": "int8",
    "sync_key": "uuid",
    "twin": "uuid",
    "fp_seq": "int4",
    MARK: "bool",
}

_DEFINITION = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())
TABLE = f"hki_stage_{hashlib.blake2b(_DEFINITION.encode(), digest_size=4).hexdigest()}"
"""Carries a digest of its columns: during a rolling deploy two releases may share a pooled server connection."""


def stage(cursor: CursorWrapper, rows: Iterable[Row], *, using: str) -> str:
    name = f'pg_temp."{TABLE}"'
    cursor.execute(f"CREATE TEMP TABLE IF NOT EXISTS {TABLE} ({_DEFINITION}) ON COMMIT DELETE ROWS")
    cursor.execute(f"DELETE FROM {name}")  # a caller's own transaction may hold several chunks
    with cursor.copy(f"COPY {name} FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(list(COLUMNS.values()))
        for row in rows:
            copy.write_row(row)
    return name


def read(field: str, column: str) -> str:
    return f"{column}::jsonb" if field in ("metadata", "details") else column


def second(column: str) -> str:
    return f"date_trunc('second', {column})"


def next_second(column: str) -> str:
    return f"date_trunc('second', {column}) + interval '1 second'"
