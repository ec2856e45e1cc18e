"""A sample table as a host has it after a while, made in seconds: rows copied from what the merge itself has written.

A day's thousand samples of one user go through the whole pipeline. Then each user gets thirty such days, shifted in
time, with new random uuids; the users take turns from day to day, so that a user's days lie apart in the table, as they
do when everybody sends once a day. The indexes are built after the rows, as loosely as random keys leave them.
"""

from __future__ import annotations

import re
from typing import Any

from django.db import connection

from benchmarks import workload
from benchmarks.imports import DAY, new_users, store
from django_healthkit_ingest.models import HealthSample, Source

DAYS = 30
PER_USER = DAYS * DAY

LOOSE = {"hki_sample_uuid": 70}
"""Per cent: leaves that are split at random places are some 70 % full, and a new index would be denser."""

_SAME = (
    *("value", "rank", "type_id", "category", "fp_seq", "raw_unit", "time_zone", "zone_basis"),
    *("metadata", "details", "sync_version", "sync_key", "twin"),
)


def fill(rows: int) -> list[Any]:
    """At least so many rows, of users who have a month each; answers the users. The table was empty."""
    users = new_users(-(-rows // PER_USER))
    (model,) = new_users(1)
    store(model, workload.records(DAY))
    table = HealthSample._meta.db_table
    with connection.cursor() as cursor:
        _give_sources(cursor, [user.pk for user in users], model=model.pk)
        definitions = _drop_indexes(cursor, table)
        _copy_days(cursor, [user.pk for user in users], model=model.pk)
        cursor.execute("SET maintenance_work_mem = '512MB'")
        for definition in definitions:
            cursor.execute(definition)
        cursor.execute("RESET maintenance_work_mem")
        for name in LOOSE:
            cursor.execute(f"ALTER INDEX {name} RESET (fillfactor)")
        cursor.execute("VACUUM (ANALYZE)")
        cursor.execute("CHECKPOINT")
    stored = HealthSample.objects.count()
    if stored != len(users) * PER_USER + DAY:
        raise RuntimeError(f"{stored} rows in the table, not {len(users) * PER_USER + DAY}")
    return users


def _give_sources(cursor: Any, user_ids: list[Any], *, model: Any) -> None:
    names = "key, recorder, name, bundle_id, product_type, version, system_version, device, precedence"
    table = Source._meta.db_table
    cursor.execute(
        f"INSERT INTO {table} (user_id, {names}) SELECT u, {names} FROM {table}, unnest(%s) AS u WHERE user_id = %s",
        [user_ids, model],
    )


def _copy_days(cursor: Any, user_ids: list[Any], *, model: Any) -> None:
    sources, table = Source._meta.db_table, HealthSample._meta.db_table
    same = ", ".join(_SAME)
    mine = ", ".join(f"s.{name}" for name in _SAME)
    cursor.execute(
        f'CREATE TEMP TABLE model AS SELECT key, start, "end", {mine} FROM {table} AS s'
        f" JOIN {sources} AS source ON source.id = s.source_id WHERE s.user_id = %s ORDER BY s.type_id, s.start",
        [model],
    )
    cursor.execute("ANALYZE model")
    cursor.execute(
        f'INSERT INTO {table} (user_id, batch_id, source_id, uuid, fingerprint, start, "end", {same})'
        ' SELECT mine.user_id, n, mine.id, gen_random_uuid(), gen_random_uuid(), start - back, "end" - back,'
        f" {same} FROM generate_series(0, %s) AS n CROSS JOIN LATERAL"
        f" (SELECT user_id, id, key, interval '1 day' * (%s - n / %s) AS back FROM {sources}"
        "  WHERE user_id = (%s)[1 + n %% %s] OFFSET 0) AS mine JOIN model USING (key)",
        [len(user_ids) * DAYS - 1, DAYS, len(user_ids), user_ids, len(user_ids)],
    )
    cursor.execute("DROP TABLE model")


def _drop_indexes(cursor: Any, table: str) -> list[str]:
    """All but the primary key's; answers the statements that make them again."""
    cursor.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s", [table])
    found = {name: definition for name, definition in cursor.fetchall() if not name.endswith("_pkey")}
    for name in found:
        cursor.execute(f"DROP INDEX {name}")
    return [_loosened(definition, LOOSE.get(name)) for name, definition in found.items()]


def _loosened(definition: str, fillfactor: int | None) -> str:
    if fillfactor is None:
        return definition
    return re.sub(r"( WHERE .*)?$", rf" WITH (fillfactor = {fillfactor})\1", definition, count=1)
