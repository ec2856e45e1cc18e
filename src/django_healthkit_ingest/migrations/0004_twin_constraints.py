from __future__ import annotations

import django.db.models.functions.comparison
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("healthkit_ingest", "0003_fill_twins")]

    operations = [
        migrations.AddConstraint(
            model_name="healthsample",
            constraint=models.UniqueConstraint(
                models.F("user"),
                models.F("twin"),
                models.F("fp_seq"),
                django.db.models.functions.comparison.Coalesce("value", models.Value(0.0)),
                condition=models.Q(("uuid__isnull", True)),
                name="hki_sample_twin",
            ),
        ),
        migrations.AddConstraint(
            model_name="healthsample",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("twin__isnull", True), ("uuid__isnull", False)),
                    models.Q(("twin__isnull", False), ("uuid__isnull", True)),
                    _connector="OR",
                ),
                name="hki_sample_uuid_or_twin",
            ),
        ),
    ]
