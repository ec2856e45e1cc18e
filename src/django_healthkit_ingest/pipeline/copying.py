"""Many rows at once into a table of PostgreSQL: binary COPY, through psycopg 3."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.backends.utils import CursorWrapper
from django.db.models import Field

_JSONB_VERSION = b"\x01"


def copy_rows(
    cursor: CursorWrapper, rows: Iterable[Sequence[Any]], *, fields: Sequence[Field[Any, Any]], table: str | None = None
) -> None:
    """Rows as wide as ``fields``, into their model's table or one like it; a JSON value is a ``document``.

    Raises Django's database errors: psycopg's own would be nobody's to sort.
    """
    quote = cursor.db.ops.quote_name
    columns = ", ".join(quote(str(field.column)) for field in fields)
    name = quote(table or fields[0].model._meta.db_table)
    with cursor.db.wrap_database_errors, cursor.copy(f"COPY {name} ({columns}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types([_kind(field, cursor=cursor) for field in fields])
        for row in rows:
            copy.write_row(row)


def document(text: str) -> bytes:
    """jsonb's binary form is a version and the text."""
    return _JSONB_VERSION + text.encode()


def _kind(field: Field[Any, Any], *, cursor: CursorWrapper) -> int:
    """What psycopg makes the column's bytes from. A host's user may have any key: what is unknown is sent as text."""
    types = cursor.connection.adapters.types
    name = str(field.db_type(cursor.db)).partition("(")[0]
    return int(types.get_oid("bytea" if name == "jsonb" else name if types.get(name) else "text"))
