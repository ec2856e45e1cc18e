"""A chunk leaves one tally and not one for each of its records without uuid; those that are there become one."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any

from django.db import migrations, models

AT_ANY_TIME = {"earliest": datetime(2, 1, 1, tzinfo=UTC), "latest": datetime(9998, 1, 1, tzinfo=UTC)}
"""When their records start is not known any more."""


def unite(apps: Any, schema_editor: Any) -> None:
    tallies = apps.get_model("healthkit_ingest", "Tally").objects.using(schema_editor.connection.alias)
    for chunk_id in tallies.order_by("chunk_id").values_list("chunk_id", flat=True).distinct():
        of_chunk = tallies.filter(chunk_id=chunk_id)
        first = of_chunk.order_by("pk").values_list("pk", flat=True)[0]
        keys = sorted({twin.int >> 64 for twin in of_chunk.values_list("twin", flat=True)})
        of_chunk.filter(pk=first).update(twins=struct.pack(f">{len(keys)}Q", *keys), **AT_ANY_TIME)
        of_chunk.exclude(pk=first).delete()


def forget(apps: Any, schema_editor: Any) -> None:
    apps.get_model("healthkit_ingest", "Tally").objects.using(schema_editor.connection.alias).all().delete()


class Migration(migrations.Migration):
    dependencies = [("healthkit_ingest", "0006_front_doors")]

    operations = [
        migrations.AddField("tally", "earliest", models.DateTimeField(null=True)),
        migrations.AddField("tally", "latest", models.DateTimeField(null=True)),
        migrations.AddField("tally", "twins", models.BinaryField(null=True)),
        migrations.RunPython(unite, forget),
        migrations.RemoveConstraint("tally", "hki_tally_key"),
        migrations.RemoveIndex("tally", "hki_tally_chunk"),
        migrations.RemoveField("tally", "twin"),
        migrations.AlterField("tally", "earliest", models.DateTimeField()),
        migrations.AlterField("tally", "latest", models.DateTimeField()),
        migrations.AlterField("tally", "twins", models.BinaryField()),
        migrations.AddConstraint("tally", models.UniqueConstraint(fields=("chunk",), name="hki_tally_chunk")),
        migrations.AddIndex("tally", models.Index(fields=["batch"], name="hki_tally_batch")),
    ]
