"""What one received record can turn into.

These are ``msgspec.Struct`` and not dataclasses because one is built per record: a frozen dataclass of this size costs
several microseconds, a frozen Struct a fraction of one.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from django_healthkit_ingest.core.registry import SampleKind


class Section(StrEnum):
    """The array of the request a record came in; a chunk holds records of one section."""

    SAMPLES = "samples"
    DELETIONS = "deletions"
    STATISTICS = "statistics"


class ZoneBasis(StrEnum):
    """How the civil zone of a sample is known, best first."""

    METADATA = "M"
    """The record's own ``time_zone`` or its ``HKTimeZone`` metadata."""
    OFFSET = "O"
    """Only a UTC offset was on the wire; the zone is then written as ``+01:00``."""
    DECLARED = "D"
    """The dates were naive and read in the zone the envelope declares."""
    NONE = "N"
    """The dates were in UTC (``Z``): no civil zone is known."""


class Device(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """The hardware that measured (``HKDevice``, developer.apple.com/documentation/healthkit/hkdevice)."""

    name: str = ""
    manufacturer: str = ""
    model: str = ""
    hardware: str = ""
    firmware: str = ""
    software: str = ""
    local_identifier: str = ""
    udi: str = ""


class Source(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """Who recorded (``HKSourceRevision``, developer.apple.com/documentation/healthkit/hksourcerevision)."""

    name: str = ""
    bundle_id: str = ""
    product_type: str = ""
    version: str = ""
    system_version: str = ""
    device: Device | None = None


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """The bulky part of a sample, kept apart from its row: voltages of an ECG, locations of a route, beats."""

    name: str
    """``voltages``, ``locations`` or ``beats``, whatever the dialect calls it."""
    points: int
    payload: bytes
    """zstd-compressed JSON array, its elements as the dialect wrote them."""
    digest: str


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One HealthKit sample, normalised: canonical type and unit, aware UTC instants, fingerprint.

    ``value`` is in ``unit`` if that is not empty, else in the type's canonical unit. ``metadata`` and ``details`` are
    JSON texts (or None): nothing between the wire and the database needs them as objects. ``details`` is the whole
    record without its series, for types whose structure has no columns and for types the registry does not know.
    """

    index: int
    identifier: str
    known: bool
    uuid: UUID | None
    fingerprint: UUID
    rank: int
    start: datetime
    end: datetime
    start_us: int
    """The same in microseconds of Unix time, and so ``end_us``."""
    end_us: int
    time_zone: str
    zone_basis: ZoneBasis
    value: float | None
    category: int | None
    unit: str
    source: Source | None
    metadata: str | None
    details: str | None
    kind: SampleKind | None = None
    sync_key: UUID | None = None
    """Of a record with ``HKMetadataKeySyncIdentifier``: which records replace each other (``identity.sync_key``)."""
    sync_version: int | None = None
    series: tuple[Series, ...] = ()
    members: tuple[Sample, ...] = ()
    """The samples inside a correlation. They are stored with it or not at all, and are no records of their own."""


class Statistic(msgspec.Struct, frozen=True, kw_only=True):
    """What the phone has already aggregated over a period, or knows once per day or person: never a sample.

    ``key`` says which statistics replace each other; ``preference`` and ``rank`` say which one stays.
    """

    identifier: str
    known: bool
    aggregation: str
    """``sum``, ``average``, ``minimum``, ``maximum``, ``most_recent``, ``duration``, ``count``; ``whole`` for activity
    summaries and characteristics, which are kept as they are."""
    bucket: str
    """What tells it from others of its period where a dialect has several: a sleep stage, a meal time."""
    start: datetime
    end: datetime | None
    """None: the dialect gives no end."""
    time_zone: str
    zone_basis: ZoneBasis
    value: float | None
    unit: str
    source: Source | None
    key: UUID
    preference: float
    """The higher one stays, whatever came first: a period's total only grows while the period lasts."""
    rank: int
    details: str | None


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """One received record that holds one statistic or more (lowest, mean and highest heart rate of a minute)."""

    index: int
    values: tuple[Statistic, ...]


class Deletion(msgspec.Struct, frozen=True, kw_only=True):
    """``HKDeletedObject``: HealthKit says that the sample with this uuid is gone."""

    index: int
    uuid: UUID


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """A record that cannot be stored; ``detail`` never holds a value that was sent."""

    index: int
    field: str
    code: str
    detail: str


class Withheld(msgspec.Struct, frozen=True, kw_only=True):
    """A record that its user does not let us keep; nothing is left of it but its place."""

    index: int
    mixed: bool
    """Other types than those switched off were in it, or may have been."""


Parsed = Sample | Statistics | Deletion | Rejected | Withheld
