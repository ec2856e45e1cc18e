from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from django_healthkit_ingest.core.states import UNFINISHED, Status
from django_healthkit_ingest.models.books import STATUS_CHOICES
from django_healthkit_ingest.querysets import ErasureQuerySet


class Erasure(models.Model):
    """The order to erase, its progress, and afterwards the receipt, which stays: it holds counts and nothing else.

    ``identifiers`` are the types to erase; None: everything of the user's. ``position`` is where the next step goes on,
    ``counts`` how many rows of each kind are gone.
    """

    id = models.BigAutoField(primary_key=True)
    uuid = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    identifiers = models.JSONField(null=True, blank=True)
    status = models.CharField(max_length=10, choices=STATUS_CHOICES, default=Status.PENDING.value)
    position = models.JSONField(default=dict)
    counts = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=64, blank=True, default="")

    objects = ErasureQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["user", "-created_at"], name="hki_erasure_user"),
            models.Index(
                fields=["user"],
                condition=Q(status__in=[status.value for status in UNFINISHED]),
                name="hki_erasure_unfinished",
            ),
        ]

    def __str__(self) -> str:
        return f"erasure {self.uuid} ({self.status})"
