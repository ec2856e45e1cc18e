from __future__ import annotations

from django.db import models

from django_healthkit_ingest.models.batch import ImportBatch
from django_healthkit_ingest.querysets import ImportUploadQuerySet


class ImportUpload(models.Model):
    """A file in the host's storage that is cut into the chunks of its batch, step by step.

    ``position`` is where the next step goes on, written in the same transaction as the chunks before it: ``reader`` is
    what the format's reader needs, ``bytes`` how much of the file that was. ``claim_no`` is the fence, as a chunk's;
    ``attempts`` counts claims since the last progress. ``name`` is the storage's; the file is deleted when no step is
    left, done or given up, and ``name`` is then empty.
    """

    id = models.BigAutoField(primary_key=True)
    batch = models.OneToOneField(ImportBatch, on_delete=models.CASCADE, related_name="upload")
    name = models.CharField(max_length=255, blank=True)
    size = models.PositiveBigIntegerField()
    position = models.JSONField(default=dict)
    attempts = models.PositiveSmallIntegerField(default=0)
    claim_no = models.PositiveIntegerField(default=0)
    claimed_by = models.CharField(max_length=64, blank=True, default="")
    lease_until = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=64, blank=True, default="")

    objects = ImportUploadQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["id"], condition=models.Q(finished_at__isnull=True), name="hki_upload_unfinished")
        ]

    def __str__(self) -> str:
        return f"upload of batch {self.batch_id}"
