from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from django_healthkit_ingest.conf import get_registry
from django_healthkit_ingest.core.samples import ZoneBasis
from django_healthkit_ingest.models.batch import ImportBatch
from django_healthkit_ingest.models.source import Source, TypeIdentifier
from django_healthkit_ingest.querysets import HealthSampleQuerySet


class HealthSample(models.Model):
    """One HealthKit sample; the table that grows to hundreds of millions of rows.

    Fixed-width columns come first and widest first, so that PostgreSQL pads nothing. Every unique key starts with the
    user, so that hash partitions by user need no new key. The relations have no database constraint: their triggers
    cost more than the rest of the insert; why that is safe is explained in ``docs/explanation/schema.md``.
    """

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    batch = models.ForeignKey(
        ImportBatch, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    start = models.DateTimeField()
    end = models.DateTimeField()
    value = models.FloatField(null=True, blank=True)
    rank = models.BigIntegerField()
    type = models.ForeignKey(
        TypeIdentifier, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    source = models.ForeignKey(
        Source, null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    category = models.IntegerField(null=True, blank=True)
    fp_seq = models.IntegerField(default=0)
    uuid = models.UUIDField(null=True, blank=True)
    fingerprint = models.UUIDField()
    raw_unit = models.CharField(max_length=64, blank=True, default="")
    time_zone = models.CharField(max_length=64, blank=True, default="")
    zone_basis = models.CharField(max_length=1, choices=[(basis.value, basis.name) for basis in ZoneBasis])
    metadata = models.JSONField(null=True, blank=True)
    details = models.JSONField(null=True, blank=True)

    objects = HealthSampleQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "uuid"], condition=Q(uuid__isnull=False), name="hki_sample_uuid"),
            models.UniqueConstraint(
                fields=["user", "fingerprint", "fp_seq"], condition=Q(uuid__isnull=True), name="hki_sample_fingerprint"
            ),
        ]
        indexes = [models.Index(fields=["user", "type", "start"], name="hki_sample_user_type_start")]

    def __str__(self) -> str:
        return f"sample {self.pk}"

    @property
    def identifier(self) -> str:
        """The HealthKit type identifier; ``for_user()`` has fetched it already."""
        return self.type.identifier

    @property
    def unit(self) -> str:
        """The unit of ``value``: the type's canonical one, unless the type is unknown or the row says otherwise."""
        if self.raw_unit:
            return self.raw_unit
        known = get_registry().get(self.identifier)
        return (known.canonical_unit or "") if known else ""


class Tombstone(models.Model):
    """A dead uuid. It wins over the sample whichever comes first, also when the sample was never seen."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    uuid = models.UUIDField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "uuid"], name="hki_tombstone_uuid")]

    def __str__(self) -> str:
        return f"tombstone {self.pk}"
