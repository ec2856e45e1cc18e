"""The package's own wire format: HealthKit's objects with HealthKit's names (schema: ``healthkit.schema.json``)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import ClassVar
from uuid import UUID

import msgspec

from django_healthkit_ingest.core.formats.base import Capabilities, Envelope
from django_healthkit_ingest.core.formats.correlations import may_be_inside, objects_naive_fields, read_objects
from django_healthkit_ingest.core.formats.envelope import Instant, peek, read_envelope
from django_healthkit_ingest.core.formats.records import (
    NULL,
    Remembered,
    check_uuid,
    has_own_zone,
    keys,
    parse_records,
    read_fields,
    read_metadata,
    read_source,
)
from django_healthkit_ingest.core.formats.statistics import statistic_reader
from django_healthkit_ingest.core.json_text import UNREADABLE
from django_healthkit_ingest.core.normalise import Draft, has_columns, normalise
from django_healthkit_ingest.core.registry import SampleKind, SampleTypeRegistry
from django_healthkit_ingest.core.rejections import rejection
from django_healthkit_ingest.core.samples import Parsed, Sample, Section, Statistics
from django_healthkit_ingest.core.statistics import ONCE
from django_healthkit_ingest.core.timestamps import find_zone, is_naive


class _WireSample(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    type: str
    start: str | msgspec.UnsetType = msgspec.UNSET
    """Missing only where the type needs none."""
    end: str | None = None
    time_zone: str | None = None
    uuid: UUID | None = None
    value: float | None = None
    unit: str | None = None
    category: int | float | None = None
    metadata: msgspec.Raw = NULL
    source: msgspec.Raw = NULL
    device: msgspec.Raw = NULL
    objects: msgspec.Raw = NULL


class _Dates(msgspec.Struct, frozen=True, gc=False):
    start: str = ""
    end: str | None = None
    time_zone: str | None = None
    metadata: msgspec.Raw = NULL
    objects: msgspec.Raw = NULL


class _AwareMember(msgspec.Struct, frozen=True, gc=False):
    start: Instant | msgspec.UnsetType = msgspec.UNSET
    end: Instant | None = None


class _Aware(_AwareMember, frozen=True, gc=False):
    objects: list[_AwareMember] | None = None


_SAMPLE = msgspec.json.Decoder(_WireSample)
_DATES = msgspec.json.Decoder(_Dates)
_COLUMNS = ("value", "unit", "category")


class HealthKitFormat:
    name: ClassVar[str] = "healthkit"
    media_types: ClassVar[frozenset[str]] = frozenset()
    fidelity: ClassVar[int] = 60
    capabilities: ClassVar[Capabilities] = Capabilities(
        uuids=True, deletions=True, offsets=True, precision=timedelta(microseconds=1)
    )

    def recognises(self, body: bytes) -> bool:
        """An envelope of this name, or of no name whose samples have HealthKit's keys, or that has no samples."""
        seen = peek(body)
        if seen.format is not None or seen.bare_array:
            return seen.format == self.name
        return seen.is_empty or any({"type", "start"} <= keys(raw) for raw in seen.samples)

    def split(self, body: bytes, *, time_zone: str | None) -> Envelope:
        return read_envelope(body, format=self.name, time_zone=time_zone, naive_fields=_naive_fields, aware=_Aware)

    def parse(
        self,
        records: bytes,
        *,
        section: Section,
        first_index: int,
        time_zone: str | None,
        registry: SampleTypeRegistry,
    ) -> Iterator[Parsed]:
        declared_zone = find_zone(time_zone) if time_zone is not None else None
        metadata = Remembered(read_metadata)
        sources = Remembered(read_source)
        read_statistic = statistic_reader(registry=registry, fidelity=self.fidelity, declared_zone=declared_zone)

        def read_sample(index: int, raw: msgspec.Raw) -> Sample | Statistics:
            wire = _read_wire(raw, registry=registry)
            sample_type = registry.get(wire.type)
            kind = None if sample_type is None else sample_type.kind
            if kind in ONCE:
                return read_statistic(index, raw)
            if kind is not SampleKind.CORRELATION:
                return finished(index, raw, wire, members=())
            members = read_objects(wire.objects, read=lambda each: read_member(index, each, wire), names={})
            return finished(index, raw, wire, members=members)

        def read_member(index: int, raw: msgspec.Raw, correlation: _WireSample) -> Sample:
            wire = _read_wire(raw, registry=registry)
            if not may_be_inside(wire.type, registry):
                raise rejection("nested_correlation", field="type")
            return finished(index, raw, _inheriting(wire, correlation), members=())

        def finished(index: int, raw: msgspec.Raw, wire: _WireSample, *, members: tuple[Sample, ...]) -> Sample:
            if wire.start is msgspec.UNSET:
                raise rejection("missing_field", field="start")
            draft = Draft(
                type=wire.type,
                start=wire.start,
                end=wire.end,
                time_zone=wire.time_zone,
                uuid=check_uuid(wire.uuid),
                value=wire.value,
                unit=wire.unit,
                category=wire.category,
                source=sources[bytes(wire.source), bytes(wire.device)],
                metadata=metadata[bytes(wire.metadata)],
                record=raw,
                members=members,
            )
            return normalise(draft, index=index, registry=registry, fidelity=self.fidelity, declared_zone=declared_zone)

        return parse_records(
            records,
            section=section,
            first_index=first_index,
            read_sample=read_sample,
            read_statistic=read_statistic,
            names={},
        )


def _inheriting(wire: _WireSample, correlation: _WireSample) -> _WireSample:
    """A member with what its correlation says for all of them: source and device, and the zone of its dates."""
    inherited: dict[str, object] = {}
    if NULL == wire.source == wire.device:
        inherited = {"source": correlation.source, "device": correlation.device}
    if wire.time_zone is None and not has_own_zone(wire.metadata):
        inherited["time_zone"] = correlation.time_zone
    return msgspec.structs.replace(wire, **inherited)


def _read_wire(raw: msgspec.Raw, *, registry: SampleTypeRegistry) -> _WireSample:
    try:
        return _SAMPLE.decode(raw)
    except UNREADABLE:
        values, faults = read_fields(raw, _WireSample)
    if "type" in values and not has_columns(values["type"], registry):
        for name in _COLUMNS:  # what these hold in a structure of its own is the structure's affair
            faults.pop(name, None)
    for fault in faults.values():
        raise fault
    return _WireSample(**values)


def _naive_fields(raw: msgspec.Raw, *, inside: bool = False) -> list[str]:
    try:
        dates = _DATES.decode(raw)
    except UNREADABLE:
        return []  # the record will be rejected for it
    if dates.time_zone is not None:
        return []
    names = [name for name, text in (("start", dates.start), ("end", dates.end)) if text and is_naive(text)]
    if not inside and dates.objects != NULL:
        names += objects_naive_fields(dates.objects, naive_fields=lambda each: _naive_fields(each, inside=True))
    return [] if not names or has_own_zone(dates.metadata) else names
