from __future__ import annotations

import django.db.models.deletion
import django.db.models.expressions
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("healthkit_ingest", "0005_production"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Consent",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("identifier", models.CharField(max_length=128)),
                ("allowed", models.BooleanField()),
                ("changed_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="DeviceToken",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("digest", models.CharField(max_length=64, unique=True)),
                ("name", models.CharField(blank=True, default="", max_length=128)),
                ("device_id", models.CharField(blank=True, default="", max_length=128)),
                ("created_at", models.DateTimeField()),
                ("used_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Erasure",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("identifiers", models.JSONField(blank=True, null=True)),
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
                ("position", models.JSONField(default=dict)),
                ("counts", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField()),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("error_code", models.CharField(blank=True, default="", max_length=64)),
            ],
        ),
        migrations.CreateModel(
            name="Export",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
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
                ("position", models.JSONField(default=dict)),
                ("parts", models.PositiveIntegerField(default=0)),
                ("size", models.PositiveBigIntegerField(default=0)),
                ("counts", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField()),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("error_code", models.CharField(blank=True, default="", max_length=64)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="importbatch",
            name="hki_batch_balanced",
        ),
        migrations.RemoveConstraint(
            model_name="importchunk",
            name="hki_chunk_balanced",
        ),
        migrations.AddField(
            model_name="importbatch",
            name="withheld",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="importchunk",
            name="withheld",
            field=models.PositiveIntegerField(db_default=0, default=0),
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
                                models.F("withheld"),
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
                                models.F("withheld"),
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
        migrations.AddField(
            model_name="consent",
            name="user",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="devicetoken",
            name="user",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="erasure",
            name="user",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="export",
            name="user",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddConstraint(
            model_name="consent",
            constraint=models.UniqueConstraint(fields=("user", "identifier"), name="hki_consent_key"),
        ),
        migrations.AddIndex(
            model_name="devicetoken",
            index=models.Index(fields=["user", "-created_at"], name="hki_device_token_user"),
        ),
        migrations.AddIndex(
            model_name="erasure",
            index=models.Index(fields=["user", "-created_at"], name="hki_erasure_user"),
        ),
        migrations.AddIndex(
            model_name="erasure",
            index=models.Index(
                condition=models.Q(("status__in", ["PENDING", "PROCESSING"])),
                fields=["user"],
                name="hki_erasure_unfinished",
            ),
        ),
        migrations.AddIndex(
            model_name="export",
            index=models.Index(fields=["user", "-created_at"], name="hki_export_user"),
        ),
        migrations.AddIndex(
            model_name="export",
            index=models.Index(
                condition=models.Q(("status__in", ["PENDING", "PROCESSING"])),
                fields=["user"],
                name="hki_export_unfinished",
            ),
        ),
    ]
