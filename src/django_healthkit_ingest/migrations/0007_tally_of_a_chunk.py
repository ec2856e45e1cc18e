"""A chunk leaves one tally for each type and not for each record without uuid; those that are there become such.

Type and time are those of the row that the record left. One that left none was known by its uuid, and still is.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from typing import Any

import django.db.models.deletion
from django.db import migrations, models

AT_ONCE = 1000


def unite(apps: Any, schema_editor: Any) -> None:
    using = schema_editor.connection.alias
    tallies = apps.get_model("healthkit_ingest", "Tally").objects.using(using)
    samples = apps.get_model("healthkit_ingest", "HealthSample").objects.using(using).filter(uuid__isnull=True)
    chunks = tallies.order_by("user_id", "batch_id", "chunk_id").values_list("user_id", "batch_id", "chunk_id")
    for user_id, batch_id, chunk_id in list(chunks.distinct()):
        of_chunk = tallies.filter(chunk_id=chunk_id)
        twins = list(of_chunk.values_list("twin", flat=True))
        records = defaultdict(list)
        for first in range(0, len(twins), AT_ONCE):
            rows = samples.filter(user_id=user_id, twin__in=twins[first : first + AT_ONCE])
            for type_id, twin, start in rows.values_list("type_id", "twin", "start"):
                records[type_id].append((twin.int >> 64, start.replace(microsecond=0)))
        of_chunk.delete()
        for type_id, found in records.items():
            keys, starts = sorted({key for key, _ in found}), [start for _, start in found]
            tallies.create(
                user_id=user_id,
                batch_id=batch_id,
                chunk_id=chunk_id,
                type_id=type_id,
                earliest=min(starts),
                latest=max(starts),
                twins=struct.pack(f">{len(keys)}Q", *keys),
            )


def forget(apps: Any, schema_editor: Any) -> None:
    apps.get_model("healthkit_ingest", "Tally").objects.using(schema_editor.connection.alias).all().delete()


def type_of(*, null: bool) -> Any:
    return models.ForeignKey(
        db_constraint=False,
        db_index=False,
        null=null,
        on_delete=django.db.models.deletion.DO_NOTHING,
        related_name="+",
        to="healthkit_ingest.typeidentifier",
    )


class Migration(migrations.Migration):
    dependencies = [("healthkit_ingest", "0006_front_doors")]

    operations = [
        migrations.RemoveConstraint("tally", "hki_tally_key"),
        migrations.RemoveIndex("tally", "hki_tally_chunk"),
        migrations.AlterField("tally", "twin", models.UUIDField(null=True)),
        migrations.AddField("tally", "type", type_of(null=True)),
        migrations.AddField("tally", "earliest", models.DateTimeField(null=True)),
        migrations.AddField("tally", "latest", models.DateTimeField(null=True)),
        migrations.AddField("tally", "twins", models.BinaryField(null=True)),
        migrations.RunPython(unite, forget),
        migrations.RemoveField("tally", "twin"),
        migrations.AlterField("tally", "type", type_of(null=False)),
        migrations.AlterField("tally", "earliest", models.DateTimeField()),
        migrations.AlterField("tally", "latest", models.DateTimeField()),
        migrations.AlterField("tally", "twins", models.BinaryField()),
        migrations.AddConstraint("tally", models.UniqueConstraint(fields=("chunk", "type"), name="hki_tally_key")),
        migrations.AddIndex("tally", models.Index(fields=["batch", "type", "earliest"], name="hki_tally_batch")),
    ]
