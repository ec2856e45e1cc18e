from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from django_healthkit_ingest.core.states import UNFINISHED, Status
from django_healthkit_ingest.models.books import STATUS_CHOICES
from django_healthkit_ingest.querysets import ExportQuerySet


class Export(models.Model):
    """A copy of all that is stored of one user, written part by part into the upload storage.

    ``parts`` is the fence: whoever writes part n must find n parts. ``position`` is where the next part begins,
    ``counts`` how many rows of each kind are in the file, ``size`` its bytes. At ``expires_at`` the file goes; the row
    stays.
    """

    id = models.BigAutoField(primary_key=True)
    uuid = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    status = models.CharField(max_length=10, choices=STATUS_CHOICES, default=Status.PENDING.value)
    position = models.JSONField(default=dict)
    parts = models.PositiveIntegerField(default=0)
    size = models.PositiveBigIntegerField(default=0)
    counts = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=64, blank=True, default="")

    objects = ExportQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["user", "-created_at"], name="hki_export_user"),
            models.Index(
                fields=["user"],
                condition=Q(status__in=[status.value for status in UNFINISHED]),
                name="hki_export_unfinished",
            ),
        ]

    def __str__(self) -> str:
        return f"export {self.uuid} ({self.status})"
