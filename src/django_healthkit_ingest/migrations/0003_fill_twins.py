"""Rows without uuid get the class of records they may be copies of; before, their fingerprint was their key."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any
from uuid import UUID

from django.db import migrations

WORKOUT = "HKWorkoutTypeIdentifier"
AT_ONCE = 2000


def fill(apps: Any, schema_editor: Any) -> None:
    samples = apps.get_model("healthkit_ingest", "HealthSample").objects.using(schema_editor.connection.alias)
    unkeyed = samples.filter(uuid__isnull=True, twin__isnull=True)
    while rows := list(unkeyed.select_related("type").defer("metadata")[:AT_ONCE]):
        for row in rows:
            row.twin = _twin(row)
        samples.bulk_update(rows, ["twin"], batch_size=200)


def _twin(row: Any) -> UUID:
    """``core.identity.twin_key`` as it was when this was written. A category has no details, a workout has."""
    has_category = row.category is not None and (row.details is None or row.type.identifier == WORKOUT)
    content = str(row.category) if has_category else ""
    text = f"hktwin1|{row.type.identifier}|{_seconds(row.start)}|{_seconds(row.end)}|{content}"
    return UUID(bytes=blake2b(text.encode(), digest_size=16).digest())


def _seconds(instant: datetime) -> int:
    since = instant - datetime(1970, 1, 1, tzinfo=UTC)
    return since.days * 86_400 + since.seconds


class Migration(migrations.Migration):
    dependencies = [("healthkit_ingest", "0002_one_truth")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
