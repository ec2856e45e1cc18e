from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce

from django_healthkit_ingest.conf import get_registry
from django_healthkit_ingest.core.samples import ZoneBasis
from django_healthkit_ingest.models.batch import ImportBatch
from django_healthkit_ingest.models.source import Source, TypeIdentifier
from django_healthkit_ingest.querysets import HealthSampleQuerySet, StatisticQuerySet


class HealthSample(models.Model):
    """One HealthKit sample; the table that grows to hundreds of millions of rows.

    Fixed-width columns come first and widest first, so that PostgreSQL pads nothing. Every unique key starts with the
    user, so that hash partitions by user need no new key. The relations have no database constraint: their triggers
    cost more than the rest of the insert; why that is safe is explained in ``docs/explanation/schema.md``.

    ``twin`` and ``fp_seq`` are of rows without a uuid only: the class of records they may be copies of, and their
    place in it. Rows with a uuid leave it NULL, which costs them nothing.
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
    sync_version = models.BigIntegerField(null=True, blank=True)
    sync_key = models.UUIDField(null=True, blank=True)
    twin = models.UUIDField(null=True, blank=True)

    objects = HealthSampleQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "uuid"], condition=Q(uuid__isnull=False), name="hki_sample_uuid"),
            models.UniqueConstraint(
                F("user"),
                F("twin"),
                F("fp_seq"),
                Coalesce("value", Value(0.0)),
                condition=Q(uuid__isnull=True),
                name="hki_sample_twin",
            ),
            models.UniqueConstraint(
                fields=["user", "sync_key"], condition=Q(sync_key__isnull=False), name="hki_sample_sync"
            ),
            models.CheckConstraint(
                condition=Q(uuid__isnull=False, twin__isnull=True) | Q(uuid__isnull=True, twin__isnull=False),
                name="hki_sample_uuid_or_twin",
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
        return self.raw_unit or _canonical_unit(self.identifier)


class SampleSeries(models.Model):
    """The bulky part of a sample: voltages, locations, beats, as compressed JSON of the dialect that brought it.

    ``sample_key`` is the sample's uuid, or its fingerprint if it came without: a series outlives the adoption of its
    sample by a record with a uuid, so look both up. It goes when its sample does.
    """

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    rank = models.BigIntegerField()
    points = models.PositiveIntegerField()
    sample_key = models.UUIDField()
    name = models.CharField(max_length=32)
    payload = models.BinaryField()

    class Meta:
        verbose_name_plural = "sample series"
        constraints = [models.UniqueConstraint(fields=["user", "sample_key", "name"], name="hki_series_key")]

    def __str__(self) -> str:
        return f"series {self.pk}"


class Statistic(models.Model):
    """What a phone sent already aggregated, one row per ``key``: type, aggregation, period and recorder.

    Activity summaries are here too (one per day), and characteristics (one per user), whole in ``details``. The row
    that stays has the higher (``sequence``, fidelity and normaliser in ``rank``, ``preference``, ``rank``).
    """

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    batch = models.ForeignKey(
        ImportBatch, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    start = models.DateTimeField()
    end = models.DateTimeField(null=True, blank=True)
    value = models.FloatField(null=True, blank=True)
    preference = models.FloatField(default=0.0)
    sequence = models.BigIntegerField(default=0)
    rank = models.BigIntegerField()
    type = models.ForeignKey(
        TypeIdentifier, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    source = models.ForeignKey(
        Source, null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    key = models.UUIDField()
    aggregation = models.CharField(max_length=32)
    bucket = models.CharField(max_length=255, blank=True, default="")
    raw_unit = models.CharField(max_length=64, blank=True, default="")
    time_zone = models.CharField(max_length=64, blank=True, default="")
    zone_basis = models.CharField(max_length=1, choices=[(basis.value, basis.name) for basis in ZoneBasis])
    details = models.JSONField(null=True, blank=True)

    objects = StatisticQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="hki_statistic_key")]
        indexes = [models.Index(fields=["user", "type", "start"], name="hki_statistic_user_type_start")]

    def __str__(self) -> str:
        return f"statistic {self.pk}"

    @property
    def identifier(self) -> str:
        """The HealthKit type identifier; ``for_user()`` has fetched it already."""
        return self.type.identifier

    @property
    def unit(self) -> str:
        """The unit of ``value``: the type's canonical one, ``s`` of a duration, ``count`` of a count."""
        return self.raw_unit or _canonical_unit(self.identifier)


def _canonical_unit(identifier: str) -> str:
    known = get_registry().get(identifier)
    return known.canonical_unit if known else ""
