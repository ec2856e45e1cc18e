from __future__ import annotations
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("healthkit_ingest", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ImportUpload",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("name", models.CharField(blank=True, max_length=255)),
                ("size", models.PositiveBigIntegerField()),
                ("position", models.JSONField(default=dict)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("claim_no", models.PositiveIntegerField(default=0)),
                ("claimed_by", models.CharField(blank=True, default="", max_length=64)),
                ("lease_until", models.DateTimeField(blank=True, null=True)),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("error_code", models.CharField(blank=True, default="", max_length=64)),
            ],
        ),
        migrations.CreateModel(
            name="Membership",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("correlation", models.UUIDField()),
                ("member", models.UUIDField()),
            ],
        ),
        migrations.CreateModel(
            name="SampleSeries",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("rank", models.BigIntegerField()),
                ("points", models.PositiveIntegerField()),
                ("sample_key", models.UUIDField()),
                ("name", models.CharField(max_length=32)),
                ("payload", models.BinaryField()),
            ],
            options={
                "verbose_name_plural": "sample series",
            },
        ),
        migrations.CreateModel(
            name="Statistic",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("start", models.DateTimeField()),
                ("end", models.DateTimeField(blank=True, null=True)),
                ("value", models.FloatField(blank=True, null=True)),
                ("preference", models.FloatField(default=0.0)),
                ("sequence", models.BigIntegerField(default=0)),
                ("rank", models.BigIntegerField()),
                ("key", models.UUIDField()),
                ("aggregation", models.CharField(max_length=32)),
                ("bucket", models.CharField(blank=True, default="", max_length=255)),
                ("raw_unit", models.CharField(blank=True, default="", max_length=64)),
                ("time_zone", models.CharField(blank=True, default="", max_length=64)),
                (
                    "zone_basis",
                    models.CharField(
                        choices=[("M", "METADATA"), ("O", "OFFSET"), ("D", "DECLARED"), ("N", "NONE")], max_length=1
                    ),
                ),
                ("details", models.JSONField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name="SyncState",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("released_at", models.DateTimeField()),
                ("device_id", models.CharField(blank=True, default="", max_length=128)),
                ("anchor", models.TextField()),
            ],
        ),
        migrations.CreateModel(
            name="Tally",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("twin", models.UUIDField()),
            ],
            options={
                "verbose_name_plural": "tallies",
            },
        ),
        migrations.CreateModel(
            name="Trace",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("value", models.FloatField(default=0.0)),
                ("twin", models.UUIDField()),
                ("uuid", models.UUIDField()),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="healthsample",
            name="hki_sample_fingerprint",
        ),
        migrations.AddField(
            model_name="healthsample",
            name="sync_key",
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="healthsample",
            name="sync_version",
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="healthsample",
            name="twin",
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="importbatch",
            name="anchors",
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="importbatch",
            name="anchors_released_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="importbatch",
            name="failure_accepted_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="importbatch",
            name="reconciled_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="importbatch",
            name="rows_absorbed",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="importbatch",
            name="rows_of_members",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="importbatch",
            name="rows_reconciled",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="importbatch",
            name="sequence",
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="importbatch",
            name="split_done",
            field=models.BooleanField(default=True),
        ),
        migrations.AddField(
            model_name="importbatch",
            name="windows",
            field=models.JSONField(default=list),
        ),
        migrations.AddField(
            model_name="importchunk",
            name="rows_absorbed",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="importchunk",
            name="rows_of_members",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="importchunk",
            name="rows_reconciled",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="source",
            name="recorder",
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="tombstone",
            name="reason",
            field=models.CharField(choices=[("D", "deleted"), ("S", "superseded")], default="D", max_length=1),
        ),
        migrations.AddField(
            model_name="tombstone",
            name="sync_key",
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="tombstone",
            name="sync_version",
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AddIndex(
            model_name="importbatch",
            index=models.Index(
                condition=models.Q(("anchors__isnull", False), ("anchors_released_at__isnull", True)),
                fields=["user", "device_id", "id"],
                name="hki_batch_anchors",
            ),
        ),
        migrations.AddIndex(
            model_name="importbatch",
            index=models.Index(
                condition=models.Q(
                    models.Q(("status", "COMPLETED"), _negated=True), ("failure_accepted_at__isnull", True)
                ),
                fields=["user", "device_id", "id"],
                name="hki_batch_unsettled",
            ),
        ),
        migrations.AddIndex(
            model_name="tombstone",
            index=models.Index(
                condition=models.Q(("sync_key__isnull", False)), fields=["user", "sync_key"], name="hki_tombstone_sync"
            ),
        ),
        migrations.AddConstraint(
            model_name="healthsample",
            constraint=models.UniqueConstraint(
                condition=models.Q(("sync_key__isnull", False)), fields=("user", "sync_key"), name="hki_sample_sync"
            ),
        ),
        migrations.AddField(
            model_name="importupload",
            name="batch",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.CASCADE, related_name="upload", to="healthkit_ingest.importbatch"
            ),
        ),
        migrations.AddField(
            model_name="membership",
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
            model_name="sampleseries",
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
            model_name="statistic",
            name="batch",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="healthkit_ingest.importbatch",
            ),
        ),
        migrations.AddField(
            model_name="statistic",
            name="source",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="healthkit_ingest.source",
            ),
        ),
        migrations.AddField(
            model_name="statistic",
            name="type",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="healthkit_ingest.typeidentifier",
            ),
        ),
        migrations.AddField(
            model_name="statistic",
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
            model_name="syncstate",
            name="batch",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="healthkit_ingest.importbatch",
            ),
        ),
        migrations.AddField(
            model_name="syncstate",
            name="type",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="healthkit_ingest.typeidentifier",
            ),
        ),
        migrations.AddField(
            model_name="syncstate",
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
            model_name="tally",
            name="batch",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="healthkit_ingest.importbatch",
            ),
        ),
        migrations.AddField(
            model_name="tally",
            name="chunk",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="healthkit_ingest.importchunk",
            ),
        ),
        migrations.AddField(
            model_name="tally",
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
            model_name="trace",
            name="user",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddIndex(
            model_name="importupload",
            index=models.Index(
                condition=models.Q(("finished_at__isnull", True)), fields=["id"], name="hki_upload_unfinished"
            ),
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.UniqueConstraint(fields=("user", "correlation", "member"), name="hki_membership_key"),
        ),
        migrations.AddConstraint(
            model_name="sampleseries",
            constraint=models.UniqueConstraint(fields=("user", "sample_key", "name"), name="hki_series_key"),
        ),
        migrations.AddIndex(
            model_name="statistic",
            index=models.Index(fields=["user", "type", "start"], name="hki_statistic_user_type_start"),
        ),
        migrations.AddConstraint(
            model_name="statistic",
            constraint=models.UniqueConstraint(fields=("user", "key"), name="hki_statistic_key"),
        ),
        migrations.AddConstraint(
            model_name="syncstate",
            constraint=models.UniqueConstraint(fields=("user", "device_id", "type"), name="hki_sync_state_key"),
        ),
        migrations.AddIndex(
            model_name="tally",
            index=models.Index(fields=["chunk"], name="hki_tally_chunk"),
        ),
        migrations.AddConstraint(
            model_name="tally",
            constraint=models.UniqueConstraint(fields=("batch", "twin", "chunk"), name="hki_tally_key"),
        ),
        migrations.AddConstraint(
            model_name="trace",
            constraint=models.UniqueConstraint(fields=("user", "twin", "uuid", "value"), name="hki_trace_key"),
        ),
    ]
