"""Samples of the React Native library @kingstinct/react-native-healthkit, 8 to 16, and the results of its queries.

HealthKit's objects under HealthKit's property names (github.com/kingstinct/react-native-healthkit). Its labels are
data: ``catalogue/react_native_healthkit.json``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import ClassVar
from uuid import UUID

import msgspec

from django_healthkit_ingest.core.catalogue import load
from django_healthkit_ingest.core.formats.base import Capabilities, Envelope
from django_healthkit_ingest.core.formats.body import is_bare_array
from django_healthkit_ingest.core.formats.correlations import may_be_inside, objects_naive_fields, read_objects
from django_healthkit_ingest.core.formats.envelope import Body, peek, read_bare_array, read_envelope
from django_healthkit_ingest.core.formats.react_native_statistics import is_result, read_result
from django_healthkit_ingest.core.formats.records import (
    NULL,
    Remembered,
    check_uuid,
    has_own_zone,
    keys,
    parse_records,
    read_fields,
    read_members,
    read_metadata,
    read_texts,
    renamed,
)
from django_healthkit_ingest.core.formats.statistics import statistic_reader
from django_healthkit_ingest.core.json_text import UNREADABLE
from django_healthkit_ingest.core.normalise import Draft, check_source, has_columns, normalise
from django_healthkit_ingest.core.registry import SampleKind, SampleTypeRegistry
from django_healthkit_ingest.core.rejections import rejection
from django_healthkit_ingest.core.samples import Device, Parsed, Sample, Section, Source, Statistics
from django_healthkit_ingest.core.statistics import NO_START, ONCE, WHOLE, StatisticDraft, normalise_statistic
from django_healthkit_ingest.core.timestamps import find_zone, is_naive
from django_healthkit_ingest.exceptions import RecordRejected


class _Results(Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Our envelope, or what the library's anchored queries answer; each kind of query has its own name for samples."""

    sample_arrays: ClassVar[Mapping[str, str]] = {
        "samples": "samples",
        "workouts": "workouts",
        "correlations": "correlations",
        "clinical_records": "clinicalRecords",
        "records": "records",
    }
    deletion_arrays: ClassVar[tuple[str, ...]] = ("deletions", "deleted_samples", "deleted_records")
    ignored: ClassVar[Mapping[str, str]] = {**Body.ignored, "new_anchor": "newAnchor"}

    workouts: list[msgspec.Raw] | None = None
    correlations: list[msgspec.Raw] | None = None
    clinical_records: list[msgspec.Raw] | None = msgspec.field(name="clinicalRecords", default=None)
    records: list[msgspec.Raw] | None = None
    deleted_samples: list[msgspec.Raw] | None = msgspec.field(name="deletedSamples", default=None)
    deleted_records: list[msgspec.Raw] | None = msgspec.field(name="deletedRecords", default=None)
    new_anchor: msgspec.Raw = msgspec.field(name="newAnchor", default=NULL)


class _WireSample(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    start_date: str | msgspec.UnsetType = msgspec.UNSET
    """Missing only where the type needs none."""
    end_date: str | None = None
    uuid: UUID | None = None
    quantity_type: str | None = None
    category_type: str | None = None
    correlation_type: str | None = None
    clinical_type: str | None = None
    sample_type: msgspec.Raw = NULL
    quantity: float | None = None
    unit: str | None = None
    value: int | float | None = None
    workout_activity_type: int | float | None = None
    metadata: msgspec.Raw = NULL
    source_revision: msgspec.Raw = NULL
    device: msgspec.Raw = NULL
    objects: msgspec.Raw = NULL


class _SummaryDay(msgspec.Struct, frozen=True, rename="camel"):
    """An activity summary has no instants: the library writes its day's parts."""

    date_year: int
    date_month: int
    date_day: int


class _Dates(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    start_date: str = ""
    end_date: str | None = None
    metadata: msgspec.Raw = NULL
    objects: msgspec.Raw = NULL


class _Labels(msgspec.Struct, frozen=True):
    marks: frozenset[str]
    types_by_member: dict[str, str]
    source: dict[str, str]
    revision: dict[str, str]
    device: dict[str, str]


_SAMPLE = msgspec.json.Decoder(_WireSample)
_DATES = msgspec.json.Decoder(_Dates)
_COLUMNS = ("quantity", "unit", "value", "workout_activity_type")
_DRAFT_FIELDS = {"start": "startDate", "end": "endDate", "value": "quantity", "category": "value"}
_OWN_ENVELOPE = frozenset({"deletedSamples", "deletedRecords", "newAnchor"})


class ReactNativeHealthKitFormat:
    name: ClassVar[str] = "react_native_healthkit"
    media_types: ClassVar[frozenset[str]] = frozenset()
    fidelity: ClassVar[int] = 50
    capabilities: ClassVar[Capabilities] = Capabilities(
        uuids=True, deletions=True, offsets=True, precision=timedelta(milliseconds=1)
    )

    def recognises(self, body: bytes) -> bool:
        """An envelope of this name, or an array or result whose samples have the library's keys, or without any."""
        seen = peek(body)
        if seen.format is not None:
            return seen.format == self.name
        if seen.samples:
            return any(_labels().marks & keys(raw) for raw in seen.samples)
        return bool(_OWN_ENVELOPE & seen.keys)

    def split(self, body: bytes, *, time_zone: str | None) -> Envelope:
        if is_bare_array(body):
            return read_bare_array(body, time_zone=time_zone, naive_fields=_naive_fields)
        return read_envelope(body, format=self.name, time_zone=time_zone, naive_fields=_naive_fields, shape=_Results)

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
        sources = Remembered(_read_source)

        read_own_statistic = statistic_reader(registry=registry, fidelity=self.fidelity, declared_zone=declared_zone)

        def read_sample(index: int, raw: msgspec.Raw) -> Sample | Statistics:
            wire, identifier, place = _read_wire(raw, registry=registry)
            sample_type = registry.get(identifier)
            kind = None if sample_type is None else sample_type.kind
            if kind in ONCE:
                return kept_once(index, raw, wire, identifier)
            if kind is not SampleKind.CORRELATION:
                return finished(index, raw, wire, identifier, place)
            members = read_objects(
                wire.objects, read=lambda each: read_member(index, each, wire), names=_source_fields()
            )
            return finished(index, raw, wire, identifier, place, members=members)

        def read_member(index: int, raw: msgspec.Raw, correlation: _WireSample) -> Sample:
            wire, identifier, place = _read_wire(raw, registry=registry)
            if not may_be_inside(identifier, registry):
                raise rejection("nested_correlation", field=place)
            if NULL == wire.source_revision == wire.device:
                wire = msgspec.structs.replace(
                    wire, source_revision=correlation.source_revision, device=correlation.device
                )
            return finished(index, raw, wire, identifier, place)

        def finished(
            index: int,
            raw: msgspec.Raw,
            wire: _WireSample,
            identifier: str,
            place: str,
            *,
            members: tuple[Sample, ...] = (),
        ) -> Sample:
            if wire.start_date is msgspec.UNSET:
                raise rejection("missing_field", field="startDate")
            draft = Draft(
                type=identifier,
                start=wire.start_date,
                end=wire.end_date,
                uuid=check_uuid(wire.uuid),
                value=wire.quantity,
                unit=wire.unit,
                category=wire.workout_activity_type if wire.value is None else wire.value,
                source=sources[bytes(wire.source_revision), bytes(wire.device)],
                metadata=metadata[bytes(wire.metadata)],
                record=raw,
                members=members,
            )
            try:
                return normalise(
                    draft, index=index, registry=registry, fidelity=self.fidelity, declared_zone=declared_zone
                )
            except RecordRejected as error:
                raise renamed(error, {**_DRAFT_FIELDS, "type": place}) from None

        def kept_once(index: int, raw: msgspec.Raw, wire: _WireSample, identifier: str) -> Statistics:
            start, place = _start(wire, raw, identifier=identifier, registry=registry)
            draft = StatisticDraft(
                type=identifier,
                aggregation=WHOLE,
                start=start,
                value=wire.quantity if wire.value is None else wire.value,
                unit=wire.unit,
                source=sources[bytes(wire.source_revision), bytes(wire.device)],
                record=raw,
            )
            try:
                statistic = normalise_statistic(
                    draft, registry=registry, fidelity=self.fidelity, declared_zone=declared_zone
                )
            except RecordRejected as error:
                raise renamed(error, {**_DRAFT_FIELDS, "start": place}) from None
            return Statistics(index=index, values=(statistic,))

        def read_statistic(index: int, raw: msgspec.Raw) -> Statistics:
            if not is_result(raw):
                return read_own_statistic(index, raw)
            return read_result(index, raw, registry=registry, fidelity=self.fidelity, declared_zone=declared_zone)

        return parse_records(
            records,
            section=section,
            first_index=first_index,
            read_sample=read_sample,
            read_statistic=read_statistic,
            names=_source_fields(),
        )


def _read_wire(raw: msgspec.Raw, *, registry: SampleTypeRegistry) -> tuple[_WireSample, str, str]:
    """The sample, its type's identifier, and the field that says it."""
    try:
        wire = _SAMPLE.decode(raw)
        return wire, *_identifier(wire, raw)
    except UNREADABLE:
        values, faults = read_fields(raw, _WireSample)
    partial = _WireSample(**values)
    identifier, place = ("", "") if "sample_type" in faults else _identifier(partial, raw)
    if not has_columns(identifier, registry):
        for name in _COLUMNS:  # what these hold in a structure of its own is the structure's affair
            faults.pop(name, None)
    for fault in faults.values():
        raise fault
    return partial, identifier, place


def _start(
    wire: _WireSample, raw: msgspec.Raw, *, identifier: str, registry: SampleTypeRegistry
) -> tuple[str | datetime, str]:
    """The start of what needs no ``startDate``, and the member that says it."""
    if wire.start_date is not msgspec.UNSET:
        return wire.start_date, "startDate"
    if "dateYear" not in keys(raw):
        sample_type = registry.get(identifier)
        if sample_type is not None and sample_type.kind is SampleKind.CHARACTERISTIC:
            return NO_START, "startDate"
        raise rejection("missing_field", field="startDate")
    values, faults = read_fields(raw, _SummaryDay)
    for fault in faults.values():
        raise fault
    day = _SummaryDay(**values)
    return f"{day.date_year:04}-{day.date_month:02}-{day.date_day:02}", "dateDay"


def _identifier(wire: _WireSample, raw: msgspec.Raw) -> tuple[str, str]:
    for name, place in (
        (wire.quantity_type, "quantityType"),
        (wire.category_type, "categoryType"),
        (wire.correlation_type, "correlationType"),
        (wire.clinical_type, "clinicalType"),
    ):
        if name:
            return name, place
    name = read_texts(wire.sample_type, ("identifier",), field="sampleType").get("identifier")
    if name:
        return name, "sampleType.identifier"
    sent = keys(raw)
    for member, identifier in _labels().types_by_member.items():
        if member in sent:
            return identifier, member
    raise rejection("missing_field", field="sampleType.identifier")


def _read_source(raws: tuple[bytes, bytes]) -> Source | None:
    labels = _labels()
    source_revision, hardware_raw = raws
    revision = read_texts(source_revision, tuple(labels.revision), field="sourceRevision")
    sender: dict[str, str] = {}
    if source_revision != b"null":
        inner = read_members(source_revision, field="sourceRevision").get("source", NULL)
        sender = read_texts(inner, tuple(labels.source), field="sourceRevision.source")
    hardware = read_texts(hardware_raw, tuple(labels.device), field="device")
    device = Device(**{labels.device[key]: text for key, text in hardware.items()}) if hardware else None
    texts = {labels.revision[key]: text for key, text in revision.items()}
    texts |= {labels.source[key]: text for key, text in sender.items()}
    return check_source(Source(**texts, device=device))


def _naive_fields(raw: msgspec.Raw, *, inside: bool = False) -> list[str]:
    try:
        dates = _DATES.decode(raw)
    except UNREADABLE:
        return []  # the record will be rejected for it
    sent = (("startDate", dates.start_date), ("endDate", dates.end_date))
    found = [name for name, text in sent if text and is_naive(text)]
    if not inside and dates.objects != NULL:
        found += objects_naive_fields(dates.objects, naive_fields=lambda each: _naive_fields(each, inside=True))
    return [] if not found or has_own_zone(dates.metadata) else found


@lru_cache(maxsize=1)
def _labels() -> _Labels:
    return msgspec.convert(load("react_native_healthkit.json"), _Labels)


@lru_cache(maxsize=1)
def _source_fields() -> dict[str, str]:
    labels = _labels()
    return {
        **{f"source.{ours}": f"sourceRevision.source.{key}" for key, ours in labels.source.items()},
        **{f"source.{ours}": f"sourceRevision.{key}" for key, ours in labels.revision.items()},
        **{f"device.{ours}": f"device.{key}" for key, ours in labels.device.items()},
    }
