from __future__ import annotations

import django.db.models.deletion
import django.db.models.expressions
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="TypeIdentifier",
            fields=[
                ("id", models.AutoField(primary_key=True, serialize=False)),
                ("identifier", models.CharField(max_length=128, unique=True)),
            ],
        ),
        migrations.CreateModel(
            name="ImportBatch",
            fields=[
                ("received", models.PositiveIntegerField(default=0)),
                ("inserted", models.PositiveIntegerField(default=0)),
                ("updated", models.PositiveIntegerField(default=0)),
                ("adopted", models.PositiveIntegerField(default=0)),
                ("duplicate", models.PositiveIntegerField(default=0)),
                ("superseded", models.PositiveIntegerField(default=0)),
                ("buried", models.PositiveIntegerField(default=0)),
                ("deletion", models.PositiveIntegerField(default=0)),
                ("statistic", models.PositiveIntegerField(default=0)),
                ("rejected", models.PositiveIntegerField(default=0)),
                ("rows_removed", models.PositiveIntegerField(default=0)),
                ("unknown_types", models.JSONField(default=dict)),
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("format", models.CharField(max_length=64)),
                (
                    "lane",
                    models.CharField(
                        choices=[("LIVE", "LIVE"), ("BACKFILL", "BACKFILL")], default="LIVE", max_length=8
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("PENDING", "PENDING"),
                            ("PROCESSING", "PROCESSING"),
                            ("COMPLETED", "COMPLETED"),
                            ("FAILED", "FAILED"),
                        ],
                        default="PENDING",
                        max_length=10,
                    ),
                ),
                ("time_zone", models.CharField(blank=True, default="", max_length=64)),
                ("device_id", models.CharField(blank=True, default="", max_length=128)),
                ("device", models.JSONField(default=dict)),
                ("client", models.JSONField(default=dict)),
                ("idempotency_key", models.CharField(blank=True, max_length=255, null=True)),
                ("body_sha256", models.CharField(max_length=64)),
                ("warnings", models.JSONField(default=list)),
                ("chunk_count", models.PositiveIntegerField(default=0)),
                ("failed", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("announced_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name_plural": "import batches",
            },
        ),
        migrations.CreateModel(
            name="ImportChunk",
            fields=[
                ("received", models.PositiveIntegerField(default=0)),
                ("inserted", models.PositiveIntegerField(default=0)),
                ("updated", models.PositiveIntegerField(default=0)),
                ("adopted", models.PositiveIntegerField(default=0)),
                ("duplicate", models.PositiveIntegerField(default=0)),
                ("superseded", models.PositiveIntegerField(default=0)),
                ("buried", models.PositiveIntegerField(default=0)),
                ("deletion", models.PositiveIntegerField(default=0)),
                ("statistic", models.PositiveIntegerField(default=0)),
                ("rejected", models.PositiveIntegerField(default=0)),
                ("rows_removed", models.PositiveIntegerField(default=0)),
                ("unknown_types", models.JSONField(default=dict)),
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "batch",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="chunks",
                        to="healthkit_ingest.importbatch",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "lane",
                    models.CharField(
                        choices=[("LIVE", "LIVE"), ("BACKFILL", "BACKFILL")], default="LIVE", max_length=8
                    ),
                ),
                ("index", models.PositiveIntegerField()),
                (
                    "section",
                    models.CharField(
                        choices=[("samples", "samples"), ("deletions", "deletions"), ("statistics", "statistics")],
                        max_length=10,
                    ),
                ),
                ("first_index", models.PositiveIntegerField()),
                ("payload", models.BinaryField(null=True)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("PENDING", "PENDING"),
                            ("PROCESSING", "PROCESSING"),
                            ("COMPLETED", "COMPLETED"),
                            ("FAILED", "FAILED"),
                        ],
                        default="PENDING",
                        max_length=10,
                    ),
                ),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("claim_no", models.PositiveIntegerField(default=0)),
                ("claimed_by", models.CharField(blank=True, default="", max_length=64)),
                ("claimed_at", models.DateTimeField(blank=True, null=True)),
                ("lease_until", models.DateTimeField(blank=True, null=True)),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                ("sent_count", models.PositiveSmallIntegerField(default=0)),
                ("not_before", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("error_code", models.CharField(blank=True, default="", max_length=64)),
            ],
        ),
        migrations.CreateModel(
            name="RejectedSample",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "chunk",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="rejections",
                        to="healthkit_ingest.importchunk",
                    ),
                ),
                ("index", models.PositiveIntegerField()),
                ("field", models.CharField(blank=True, max_length=128)),
                ("code", models.CharField(max_length=64)),
                ("detail", models.CharField(max_length=255)),
            ],
        ),
        migrations.CreateModel(
            name="Source",
            fields=[
                ("id", models.AutoField(primary_key=True, serialize=False)),
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("key", models.UUIDField()),
                ("name", models.CharField(blank=True, max_length=255)),
                ("bundle_id", models.CharField(blank=True, max_length=255)),
                ("product_type", models.CharField(blank=True, max_length=255)),
                ("version", models.CharField(blank=True, max_length=255)),
                ("system_version", models.CharField(blank=True, max_length=255)),
                ("device", models.JSONField(blank=True, null=True)),
                ("precedence", models.PositiveSmallIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="Tombstone",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("uuid", models.UUIDField()),
            ],
        ),
        migrations.CreateModel(
            name="HealthSample",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "batch",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="healthkit_ingest.importbatch",
                    ),
                ),
                ("start", models.DateTimeField()),
                ("end", models.DateTimeField()),
                ("value", models.FloatField(blank=True, null=True)),
                ("rank", models.BigIntegerField()),
                (
                    "type",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="healthkit_ingest.typeidentifier",
                    ),
                ),
                (
                    "source",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="healthkit_ingest.source",
                    ),
                ),
                ("category", models.IntegerField(blank=True, null=True)),
                ("fp_seq", models.IntegerField(default=0)),
                ("uuid", models.UUIDField(blank=True, null=True)),
                ("fingerprint", models.UUIDField()),
                ("raw_unit", models.CharField(blank=True, default="", max_length=64)),
                ("time_zone", models.CharField(blank=True, default="", max_length=64)),
                (
                    "zone_basis",
                    models.CharField(
                        choices=[("M", "METADATA"), ("O", "OFFSET"), ("D", "DECLARED"), ("N", "NONE")], max_length=1
                    ),
                ),
                ("metadata", models.JSONField(blank=True, null=True)),
                ("details", models.JSONField(blank=True, null=True)),
            ],
        ),
        migrations.AddIndex(
            model_name="importbatch",
            index=models.Index(fields=["user", "-created_at"], name="hki_batch_user_created"),
        ),
        migrations.AddIndex(
            model_name="importbatch",
            index=models.Index(fields=["status", "created_at"], name="hki_batch_status_created"),
        ),
        migrations.AddIndex(
            model_name="importbatch",
            index=models.Index(
                condition=models.Q(("announced_at__isnull", True)), fields=["id"], name="hki_batch_open"
            ),
        ),
        migrations.AddConstraint(
            model_name="importbatch",
            constraint=models.UniqueConstraint(
                condition=models.Q(("idempotency_key__isnull", False)),
                fields=("user", "idempotency_key"),
                name="hki_batch_idempotency_key",
            ),
        ),
        migrations.AddConstraint(
            model_name="importbatch",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "COMPLETED"), _negated=True),
                    (
                        "received",
                        django.db.models.expressions.CombinedExpression(
                            django.db.models.expressions.CombinedExpression(
                                django.db.models.expressions.CombinedExpression(
                                    django.db.models.expressions.CombinedExpression(
                                        django.db.models.expressions.CombinedExpression(
                                            django.db.models.expressions.CombinedExpression(
                                                django.db.models.expressions.CombinedExpression(
                                                    django.db.models.expressions.CombinedExpression(
                                                        models.F("inserted"), "+", models.F("updated")
                                                    ),
                                                    "+",
                                                    models.F("adopted"),
                                                ),
                                                "+",
                                                models.F("duplicate"),
                                            ),
                                            "+",
                                            models.F("superseded"),
                                        ),
                                        "+",
                                        models.F("buried"),
                                    ),
                                    "+",
                                    models.F("deletion"),
                                ),
                                "+",
                                models.F("statistic"),
                            ),
                            "+",
                            models.F("rejected"),
                        ),
                    ),
                    _connector="OR",
                ),
                name="hki_batch_balanced",
            ),
        ),
        migrations.AddIndex(
            model_name="importchunk",
            index=models.Index(
                condition=models.Q(("status__in", ["PENDING", "PROCESSING"])),
                fields=["user", "lane", "batch", "index"],
                name="hki_chunk_unfinished",
            ),
        ),
        migrations.AddIndex(
            model_name="importchunk",
            index=models.Index(
                condition=models.Q(("payload__isnull", False)), fields=["finished_at"], name="hki_chunk_purgeable"
            ),
        ),
        migrations.AddConstraint(
            model_name="importchunk",
            constraint=models.UniqueConstraint(fields=("batch", "index"), name="hki_chunk_batch_index"),
        ),
        migrations.AddConstraint(
            model_name="importchunk",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "COMPLETED"), _negated=True),
                    (
                        "received",
                        django.db.models.expressions.CombinedExpression(
                            django.db.models.expressions.CombinedExpression(
                                django.db.models.expressions.CombinedExpression(
                                    django.db.models.expressions.CombinedExpression(
                                        django.db.models.expressions.CombinedExpression(
                                            django.db.models.expressions.CombinedExpression(
                                                django.db.models.expressions.CombinedExpression(
                                                    django.db.models.expressions.CombinedExpression(
                                                        models.F("inserted"), "+", models.F("updated")
                                                    ),
                                                    "+",
                                                    models.F("adopted"),
                                                ),
                                                "+",
                                                models.F("duplicate"),
                                            ),
                                            "+",
                                            models.F("superseded"),
                                        ),
                                        "+",
                                        models.F("buried"),
                                    ),
                                    "+",
                                    models.F("deletion"),
                                ),
                                "+",
                                models.F("statistic"),
                            ),
                            "+",
                            models.F("rejected"),
                        ),
                    ),
                    _connector="OR",
                ),
                name="hki_chunk_balanced",
            ),
        ),
        migrations.AddConstraint(
            model_name="rejectedsample",
            constraint=models.UniqueConstraint(fields=("chunk", "index"), name="hki_rejected_chunk_index"),
        ),
        migrations.AddConstraint(
            model_name="source",
            constraint=models.UniqueConstraint(fields=("user", "key"), name="hki_source_user_key"),
        ),
        migrations.AddConstraint(
            model_name="tombstone",
            constraint=models.UniqueConstraint(fields=("user", "uuid"), name="hki_tombstone_uuid"),
        ),
        migrations.AddIndex(
            model_name="healthsample",
            index=models.Index(fields=["user", "type", "start"], name="hki_sample_user_type_start"),
        ),
        migrations.AddConstraint(
            model_name="healthsample",
            constraint=models.UniqueConstraint(
                condition=models.Q(("uuid__isnull", False)), fields=("user", "uuid"), name="hki_sample_uuid"
            ),
        ),
        migrations.AddConstraint(
            model_name="healthsample",
            constraint=models.UniqueConstraint(
                condition=models.Q(("uuid__isnull", True)),
                fields=("user", "fingerprint", "fp_seq"),
                name="hki_sample_fingerprint",
            ),
        ),
    ]
