from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from django_healthkit_ingest.core.samples import Section
from django_healthkit_ingest.core.states import UNFINISHED, Lane, Status
from django_healthkit_ingest.models.batch import ImportBatch
from django_healthkit_ingest.models.books import BALANCED, STATUS_CHOICES, Books
from django_healthkit_ingest.querysets import ImportChunkQuerySet


class ImportChunk(Books):
    """One slice of a batch: the unit of work, of retry and of transaction, and the outbox of its own message.

    ``payload`` is a JSON array of raw records, zstd-compressed, NULL once purged; nothing in it ever changes, but what
    is withheld is blanked. ``claim_no`` is the fence: whoever completes the chunk must hold the newest claim.
    ``due_at`` is since when the chunk has been waiting for a worker; sending its message again does not change it.
    ``set_aside`` are the places, in the request's array, of records that every run leaves out and rejects, because
    workers died of them.
    """

    id = models.BigAutoField(primary_key=True)
    batch = models.ForeignKey(ImportBatch, on_delete=models.CASCADE, related_name="chunks", db_index=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    lane = models.CharField(max_length=8, choices=[(lane.value, lane.value) for lane in Lane], default=Lane.LIVE.value)
    index = models.PositiveIntegerField()
    section = models.CharField(max_length=10, choices=[(section.value, section.value) for section in Section])
    first_index = models.PositiveIntegerField()
    payload = models.BinaryField(null=True)
    status = models.CharField(max_length=10, choices=STATUS_CHOICES, default=Status.PENDING.value)
    attempts = models.PositiveSmallIntegerField(default=0)
    claim_no = models.PositiveIntegerField(default=0)
    claimed_by = models.CharField(max_length=64, blank=True, default="")
    claimed_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    sent_count = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=64, blank=True, default="")
    set_aside = models.JSONField(null=True, blank=True)

    objects = ImportChunkQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["batch", "index"], name="hki_chunk_batch_index"),
            models.CheckConstraint(condition=BALANCED, name="hki_chunk_balanced"),
        ]
        indexes = [
            models.Index(
                fields=["user", "lane", "batch", "index"],
                condition=Q(status__in=[status.value for status in UNFINISHED]),
                name="hki_chunk_unfinished",
            ),
            models.Index(fields=["finished_at"], condition=Q(payload__isnull=False), name="hki_chunk_purgeable"),
            models.Index(
                fields=["due_at"],
                condition=Q(status=Status.PENDING.value, due_at__isnull=False),
                name="hki_chunk_due",
            ),
        ]

    def __str__(self) -> str:
        return f"chunk {self.index} of batch {self.batch_id} ({self.status})"


class RejectedSample(models.Model):
    """A record that was not stored, and why, without a value; the record itself stays in the chunk's payload.

    ``index`` is the record's place in the request's array named by the chunk's section.
    """

    id = models.BigAutoField(primary_key=True)
    chunk = models.ForeignKey(ImportChunk, on_delete=models.CASCADE, related_name="rejections", db_index=False)
    index = models.PositiveIntegerField()
    field = models.CharField(max_length=128, blank=True)
    code = models.CharField(max_length=64)
    detail = models.CharField(max_length=255)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["chunk", "index"], name="hki_rejected_chunk_index")]

    def __str__(self) -> str:
        return f"record {self.index}: {self.code}"
