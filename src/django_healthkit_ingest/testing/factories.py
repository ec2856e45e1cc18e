"""factory_boy factories for the models; they build rows as the pipeline would leave them.

``user`` is taken as an object and stored as a key: users may live in another database, and Django then refuses the
object.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import factory
from django.contrib.auth import get_user_model
from django.utils import timezone

from django_healthkit_ingest.core import samples
from django_healthkit_ingest.core.encodings import compress
from django_healthkit_ingest.core.identity import source_key
from django_healthkit_ingest.core.states import Lane, Status
from django_healthkit_ingest.models import (
    HealthSample,
    ImportBatch,
    ImportChunk,
    ImportUpload,
    RejectedSample,
    Source,
    Statistic,
    SyncState,
    TypeIdentifier,
)


class UserFactory(factory.django.DjangoModelFactory[Any]):
    class Meta:
        model = get_user_model()

    username = factory.Sequence(lambda number: f"user{number}")


class TypeIdentifierFactory(factory.django.DjangoModelFactory[TypeIdentifier]):
    class Meta:
        model = TypeIdentifier
        django_get_or_create = ("identifier",)

    identifier = "HKQuantityTypeIdentifierHeartRate"


class SourceFactory(factory.django.DjangoModelFactory[Source]):
    class Meta:
        model = Source

    class Params:
        user = factory.SubFactory(UserFactory)

    user_id = factory.LazyAttribute(lambda row: row.user.pk)
    name = factory.Sequence(lambda number: f"Test Watch {number}")
    bundle_id = "com.apple.health.0A1B2C3D"
    product_type = "Watch7,11"
    precedence = 1
    key = factory.LazyAttribute(
        lambda source: source_key(
            samples.Source(name=source.name, bundle_id=source.bundle_id, product_type=source.product_type)
        )
    )


class ImportBatchFactory(factory.django.DjangoModelFactory[ImportBatch]):
    class Meta:
        model = ImportBatch

    class Params:
        user = factory.SubFactory(UserFactory)

    user_id = factory.LazyAttribute(lambda row: row.user.pk)
    format = "healthkit"
    lane = Lane.LIVE
    status = Status.PENDING
    body_sha256 = "0" * 64
    created_at = factory.LazyFunction(timezone.now)


class ImportChunkFactory(factory.django.DjangoModelFactory[ImportChunk]):
    class Meta:
        model = ImportChunk

    batch = factory.SubFactory(ImportBatchFactory)
    user_id = factory.LazyAttribute(lambda chunk: chunk.batch.user_id)
    lane = factory.LazyAttribute(lambda chunk: chunk.batch.lane)
    index = factory.Sequence(lambda number: number)
    section = samples.Section.SAMPLES
    first_index = 0
    payload = factory.LazyFunction(lambda: compress(b"[]"))


class RejectedSampleFactory(factory.django.DjangoModelFactory[RejectedSample]):
    class Meta:
        model = RejectedSample

    chunk = factory.SubFactory(ImportChunkFactory)
    index = factory.Sequence(lambda number: number)
    field = "unit"
    code = "unit_mismatch"
    detail = "unit does not fit the type's dimension"


class HealthSampleFactory(factory.django.DjangoModelFactory[HealthSample]):
    class Meta:
        model = HealthSample

    class Params:
        user = factory.SubFactory(UserFactory)

    user_id = factory.LazyAttribute(lambda row: row.user.pk)
    batch = factory.SubFactory(ImportBatchFactory, user=factory.SelfAttribute("..user"))
    type = factory.SubFactory(TypeIdentifierFactory)
    source = factory.SubFactory(SourceFactory, user=factory.SelfAttribute("..user"))
    uuid = factory.LazyFunction(uuid4)
    fingerprint = factory.LazyFunction(uuid4)
    rank = 0
    start = factory.LazyFunction(lambda: timezone.now() - timedelta(minutes=1))
    end = factory.LazyAttribute(lambda sample: sample.start)
    value = 61.0
    zone_basis = samples.ZoneBasis.NONE


class StatisticFactory(factory.django.DjangoModelFactory[Statistic]):
    class Meta:
        model = Statistic

    class Params:
        user = factory.SubFactory(UserFactory)

    user_id = factory.LazyAttribute(lambda row: row.user.pk)
    batch = factory.SubFactory(ImportBatchFactory, user=factory.SelfAttribute("..user"))
    type = factory.SubFactory(TypeIdentifierFactory, identifier="HKQuantityTypeIdentifierStepCount")
    source = factory.SubFactory(SourceFactory, user=factory.SelfAttribute("..user"))
    key = factory.LazyFunction(uuid4)
    rank = 0
    aggregation = "sum"
    start = factory.LazyFunction(lambda: timezone.now() - timedelta(days=1))
    end = factory.LazyAttribute(lambda statistic: statistic.start + timedelta(days=1))
    value = 8421.0
    preference = factory.LazyAttribute(lambda statistic: statistic.value)
    zone_basis = samples.ZoneBasis.NONE


class ImportUploadFactory(factory.django.DjangoModelFactory[ImportUpload]):
    class Meta:
        model = ImportUpload

    batch = factory.SubFactory(ImportBatchFactory, split_done=False)
    name = factory.Sequence(lambda number: f"healthkit-ingest/{number}")
    size = 1000


class SyncStateFactory(factory.django.DjangoModelFactory[SyncState]):
    class Meta:
        model = SyncState

    class Params:
        user = factory.SubFactory(UserFactory)

    user_id = factory.LazyAttribute(lambda row: row.user.pk)
    batch = factory.SubFactory(ImportBatchFactory, user=factory.SelfAttribute("..user"))
    type = factory.SubFactory(TypeIdentifierFactory)
    device_id = "00000000-0000-0000-0000-00000000F00D"
    anchor = "YW5jaG9y"
    released_at = factory.LazyFunction(timezone.now)
