from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from django_healthkit_ingest.core.states import Lane, Status
from django_healthkit_ingest.models.books import BALANCED, STATUS_CHOICES, Books
from django_healthkit_ingest.querysets import ImportBatchQuerySet


class ImportBatch(Books):
    """One sync, as one request brought it. The books are written once, when it finishes; before that, ask the chunks.

    ``anchors`` are the client's, by type identifier, and released once all before them is safe; ``windows`` is what it
    vouches to have sent completely. ``split_done`` is False while an upload is still being cut into chunks.

    ``user`` has no database constraint: the users may live in another database, and the user's deletion erases through
    the pipeline, under the user's lock, and not through a cascade.
    """

    id = models.BigAutoField(primary_key=True)
    uuid = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    format = models.CharField(max_length=64)
    lane = models.CharField(max_length=8, choices=[(lane.value, lane.value) for lane in Lane], default=Lane.LIVE.value)
    status = models.CharField(max_length=10, choices=STATUS_CHOICES, default=Status.PENDING.value)
    time_zone = models.CharField(max_length=64, blank=True, default="")
    device_id = models.CharField(max_length=128, blank=True, default="")
    device = models.JSONField(default=dict)
    client = models.JSONField(default=dict)
    idempotency_key = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001
    body_sha256 = models.CharField(max_length=64)
    warnings = models.JSONField(default=list)
    sequence = models.BigIntegerField(null=True, blank=True)
    anchors = models.JSONField(null=True, blank=True)
    anchors_released_at = models.DateTimeField(null=True, blank=True)
    failure_accepted_at = models.DateTimeField(null=True, blank=True)
    windows = models.JSONField(default=list)
    reconciled_at = models.DateTimeField(null=True, blank=True)
    split_done = models.BooleanField(default=True)
    chunk_count = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    announced_at = models.DateTimeField(null=True, blank=True)

    replayed = False
    """Not a column: True on the object that accept answers for a repeated idempotency key."""

    objects = ImportBatchQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "import batches"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
                name="hki_batch_idempotency_key",
            ),
            models.CheckConstraint(condition=BALANCED, name="hki_batch_balanced"),
        ]
        indexes = [
            models.Index(fields=["user", "-created_at"], name="hki_batch_user_created"),
            models.Index(fields=["status", "created_at"], name="hki_batch_status_created"),
            models.Index(fields=["id"], condition=Q(announced_at__isnull=True), name="hki_batch_open"),
            models.Index(
                fields=["user", "device_id", "id"],
                condition=Q(anchors_released_at__isnull=True, anchors__isnull=False),
                name="hki_batch_anchors",
            ),
            models.Index(
                fields=["user", "device_id", "id"],
                condition=~Q(status=Status.COMPLETED.value) & Q(failure_accepted_at__isnull=True),
                name="hki_batch_unsettled",
            ),
        ]

    def __str__(self) -> str:
        return f"import {self.uuid} ({self.status})"
