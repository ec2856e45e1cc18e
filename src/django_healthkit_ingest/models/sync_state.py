from __future__ import annotations

from django.conf import settings
from django.db import models

from django_healthkit_ingest.models.batch import ImportBatch
from django_healthkit_ingest.models.source import TypeIdentifier
from django_healthkit_ingest.querysets import SyncStateQuerySet


class SyncState(models.Model):
    """The anchor one app installation may safely resume one type from: everything before it is in the tables."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    batch = models.ForeignKey(
        ImportBatch, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    released_at = models.DateTimeField()
    type = models.ForeignKey(
        TypeIdentifier, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    device_id = models.CharField(max_length=128, blank=True, default="")
    anchor = models.TextField()

    objects = SyncStateQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "device_id", "type"], name="hki_sync_state_key")]

    def __str__(self) -> str:
        return f"sync state {self.pk}"
