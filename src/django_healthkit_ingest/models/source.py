from __future__ import annotations

from django.conf import settings
from django.db import models

from django_healthkit_ingest.querysets import SourceQuerySet


class TypeIdentifier(models.Model):
    """A type identifier, known or unknown, as a 4-byte number: sample rows are many, names are few and long."""

    id = models.AutoField(primary_key=True)
    identifier = models.CharField(max_length=128, unique=True)

    def __str__(self) -> str:
        return self.identifier


class Source(models.Model):
    """Who recorded: app, revision and device (HKSourceRevision and HKDevice), one row per user and combination.

    Device names often hold a person's name, so a source belongs to one user and dies with the user's data. ``key`` is
    a digest of all fields, normalised; ``recorder`` is the same for one recorder in every dialect and version, as far
    as the dialects tell (``identity.recorder_key``). ``precedence``: 1 watch, 2 phone, 3 anything else, or what the
    host's ``SOURCE_PRECEDENCE`` says; the lower is trusted more where two sources overlap.
    """

    id = models.AutoField(primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    key = models.UUIDField()
    recorder = models.UUIDField(null=True, blank=True)
    name = models.CharField(max_length=255, blank=True)
    bundle_id = models.CharField(max_length=255, blank=True)
    product_type = models.CharField(max_length=255, blank=True)
    version = models.CharField(max_length=255, blank=True)
    system_version = models.CharField(max_length=255, blank=True)
    device = models.JSONField(null=True, blank=True)
    precedence = models.PositiveSmallIntegerField()

    objects = SourceQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="hki_source_user_key")]

    def __str__(self) -> str:
        return f"source {self.pk}"
