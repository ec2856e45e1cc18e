"""The tables teams start with; made by ``migrate --run-syncdb``."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models


class _Columns(models.Model):
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    fingerprint = models.CharField(max_length=64, unique=True)
    """SHA-256 of the record, in hexadecimal."""
    type = models.CharField(max_length=80)
    start = models.DateTimeField()
    end = models.DateTimeField()
    value = models.FloatField(null=True)
    unit = models.CharField(max_length=32, blank=True)
    category = models.IntegerField(null=True)
    source_name = models.CharField(max_length=255, blank=True)
    source_bundle_id = models.CharField(max_length=255, blank=True)
    metadata = models.JSONField(null=True)

    class Meta:
        abstract = True
        indexes: ClassVar = [models.Index(fields=["user", "type", "start"])]


class InlineSample(_Columns):
    """BEFORE: written by the request itself."""

    objects: ClassVar[models.Manager[InlineSample]] = models.Manager()


class ChunkedSample(_Columns):
    """AFTER: written by a task, beside a row of ``SampleFingerprint``."""

    batch_id = models.BigIntegerField()

    objects: ClassVar[models.Manager[ChunkedSample]] = models.Manager()


class SampleFingerprint(models.Model):
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    fingerprint = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[SampleFingerprint]] = models.Manager()
