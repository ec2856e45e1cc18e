"""What has to be remembered of records that are no rows, so that no order of arrival changes the sample table."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from django_healthkit_ingest.models.batch import ImportBatch
from django_healthkit_ingest.models.chunk import ImportChunk
from django_healthkit_ingest.models.source import TypeIdentifier


class Tombstone(models.Model):
    """A dead uuid. It wins over the sample whichever comes first, also when the sample was never seen.

    A superseded record keeps its sync key and version here, so that version 2 beats version 1 also after its deletion.
    """

    class Reason(models.TextChoices):
        DELETED = "D", "deleted"
        SUPERSEDED = "S", "superseded"

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    sync_version = models.BigIntegerField(null=True, blank=True)
    uuid = models.UUIDField()
    sync_key = models.UUIDField(null=True, blank=True)
    reason = models.CharField(max_length=1, choices=Reason.choices, default=Reason.DELETED)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "uuid"], name="hki_tombstone_uuid")]
        indexes = [
            models.Index(fields=["user", "sync_key"], condition=Q(sync_key__isnull=False), name="hki_tombstone_sync")
        ]

    def __str__(self) -> str:
        return f"tombstone {self.pk}"


class Trace(models.Model):
    """How a uuid once looked that is dead or looks otherwise now, so that a copy of it without uuid is still known.

    ``twin`` is a digest of type, seconds and category; ``value`` a quantity's, 0 for all else: no type and no time.
    """

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    value = models.FloatField(default=0.0)
    twin = models.UUIDField()
    uuid = models.UUIDField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "twin", "uuid", "value"], name="hki_trace_key")]

    def __str__(self) -> str:
        return f"trace {self.pk}"


class Tally(models.Model):
    """Which twin keys the records without uuid of one type in one chunk have, so that the batch's equal records are
    counted together, in whatever chunks they lie.

    ``twins`` is the keys' first eight bytes each, ascending and without a gap between them; ``earliest`` and ``latest``
    are the whole seconds within which the records start. It lives as long as the chunk's payload: it says whose records
    have to be read again.
    """

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    batch = models.ForeignKey(
        ImportBatch, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    chunk = models.ForeignKey(
        ImportChunk, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    type = models.ForeignKey(
        TypeIdentifier, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    earliest = models.DateTimeField()
    latest = models.DateTimeField()
    twins = models.BinaryField()

    class Meta:
        verbose_name_plural = "tallies"
        constraints = [models.UniqueConstraint(fields=["chunk", "type"], name="hki_tally_key")]
        indexes = [models.Index(fields=["batch", "type", "earliest"], name="hki_tally_batch")]

    def __str__(self) -> str:
        return f"tally {self.pk}"


class Membership(models.Model):
    """Which uuids were in which correlation, so that deleting a correlation buries its members in any order."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    correlation = models.UUIDField()
    member = models.UUIDField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "correlation", "member"], name="hki_membership_key"),
        ]

    def __str__(self) -> str:
        return f"membership {self.pk}"
