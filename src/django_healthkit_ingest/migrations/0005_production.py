from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("healthkit_ingest", "0004_twin_constraints")]

    operations = [
        migrations.CreateModel(
            name="Switch",
            fields=[
                (
                    "name",
                    models.CharField(
                        choices=[("processing", "processing"), ("intake", "intake")],
                        max_length=16,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("since", models.DateTimeField()),
            ],
            options={"verbose_name_plural": "switches"},
        ),
        migrations.AddField(
            model_name="importchunk",
            name="due_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="importchunk",
            name="set_aside",
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddIndex(
            model_name="importchunk",
            index=models.Index(
                condition=models.Q(("due_at__isnull", False), ("status", "PENDING")),
                fields=["due_at"],
                name="hki_chunk_due",
            ),
        ),
    ]
