"""The limit: plain ``COPY BINARY`` into a table with our columns, indexes and constraints, and no record twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from django_healthkit_ingest.models import HealthSample
from django_healthkit_ingest.pipeline.copying import copy_rows
from django_healthkit_ingest.pipeline.store.engine import Row, sample_field
from django_healthkit_ingest.pipeline.store.table import COLUMNS

TABLE = "limit_sample"
BARE = "bare_sample"


def create_table() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {TABLE} (LIKE {HealthSample._meta.db_table} INCLUDING ALL)")


def create_bare_table() -> None:
    """Without indexes, and written to no log: where only the client's side is measured."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE UNLOGGED TABLE {BARE} (LIKE {HealthSample._meta.db_table} INCLUDING IDENTITY)")


def store_chunks(chunks: Iterable[Sequence[Row]]) -> None:
    for rows in chunks:
        with transaction.atomic(), connection.cursor() as cursor:
            copy(rows, table=TABLE, cursor=cursor)


def copy(rows: Sequence[Row], *, table: str, cursor: CursorWrapper) -> None:
    copy_rows(cursor, rows, fields=[sample_field(name) for name in COLUMNS], table=table)
