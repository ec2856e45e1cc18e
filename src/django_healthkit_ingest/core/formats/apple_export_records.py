"""What the elements of an export mean: from one raw record to a sample or statistics."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from django_healthkit_ingest.core.devices import parse_device_string
from django_healthkit_ingest.core.formats.apple_export_children import CHILD, MEMBERS, RAWS, decoded, take_series
from django_healthkit_ingest.core.formats.apple_export_names import clinical_type, names
from django_healthkit_ingest.core.formats.apple_export_numbers import read_number
from django_healthkit_ingest.core.formats.records import NULL, Remembered, read_fields, read_metadata, renamed
from django_healthkit_ingest.core.json_text import UNREADABLE
from django_healthkit_ingest.core.normalise import Draft, check_source, normalise
from django_healthkit_ingest.core.registry import SampleKind, SampleType, SampleTypeRegistry
from django_healthkit_ingest.core.rejections import reasons, rejection
from django_healthkit_ingest.core.samples import Sample, Series, Source, Statistics
from django_healthkit_ingest.core.statistics import NO_START, WHOLE, StatisticDraft, normalise_statistic
from django_healthkit_ingest.exceptions import RecordRejected

_ACTIVITY_SUMMARY = "HKActivitySummaryTypeIdentifier"
_CHARACTERISTIC = "HKCharacteristicTypeIdentifier"
_TYPES = {
    "Workout": "HKWorkoutTypeIdentifier",
    "Route": "HKWorkoutRouteTypeIdentifier",
    "Electrocardiogram": "HKDataTypeIdentifierElectrocardiogram",
    "Audiogram": "HKDataTypeIdentifierAudiogram",
    "VisionPrescription": "HKVisionPrescriptionTypeIdentifier",
}
_WITH_MEMBERS = ("Correlation", "Workout")
_STARTS = {"VisionPrescription": "dateIssued", "ClinicalRecord": "receivedDate"}
"""Where a sample's start is not its ``startDate``."""
_WIRE_NAMES = {
    "start": "startDate",
    "end": "endDate",
    "category": "value",
    "source.name": "sourceName",
    "source.version": "sourceVersion",
    "source.product_type": "device",
    **{f"device.{name}": "device" for name in ("name", "manufacturer", "model", "hardware", "firmware", "software")},
    "device.local_identifier": "device",
    "device.udi": "device",
}
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DAY_LENGTH = len("2026-01-01")
_POINTER = re.compile(r"(<<HKDevice: )0x[0-9a-fA-F]+>")
_POINTER_BYTES = re.compile(rb"(<<HKDevice: )0x[0-9a-fA-F]+>")
_PRODUCT = re.compile(r"[A-Za-z]+[0-9]+,[0-9]+")

_SourceKey = tuple[str, str, str, str]
"""Element, name, version and device as they are on the wire."""


class _WireElement(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    element: str = ""
    fault: str = ""
    """Of what could not be read as XML: why."""
    type: str | None = None
    value: str | None = None
    unit: str | None = None
    source_name: str = ""
    source_version: str = ""
    device: str = ""
    start_date: str | None = None
    end_date: str | None = None
    date_issued: str | None = None
    received_date: str | None = None
    workout_activity_type: str | None = None
    metadata: msgspec.Raw = NULL
    children: msgspec.Raw = NULL


class _Summary(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    date_components: str | None = None


_ELEMENT = msgspec.json.Decoder(_WireElement)
_TEXT = msgspec.json.Decoder(str | None)
_SUMMARY = msgspec.json.Decoder(_Summary)


def record_reader(
    *, registry: SampleTypeRegistry, fidelity: int, declared_zone: ZoneInfo | None
) -> Callable[[int, msgspec.Raw], Sample | Statistics]:
    """Reads one raw record; raises RecordRejected with the export's name for the field."""
    metadata = Remembered(read_metadata)
    folded = Remembered(_read_source)
    # By what is on the wire first, for folding costs more than looking up.
    sources: Remembered[_SourceKey, Source | None] = Remembered(lambda key: folded[_folded(key)])

    def read_whole(type_name: str, start: Any, record: bytes) -> Any:
        draft = StatisticDraft(type=type_name, aggregation=WHOLE, start=start, record=record)
        return normalise_statistic(draft, registry=registry, fidelity=fidelity, declared_zone=declared_zone)

    def read_summary(index: int, raw: msgspec.Raw) -> Statistics:
        day = decoded(_SUMMARY, raw, field="dateComponents").date_components
        if not day:
            raise rejection("missing_field", field="dateComponents")
        try:
            return Statistics(index=index, values=(read_whole(_ACTIVITY_SUMMARY, day, bytes(raw)),))
        except RecordRejected as error:
            raise renamed(error, {"start": "dateComponents"}) from None

    def read_person(index: int, raw: msgspec.Raw) -> Statistics:
        members = decoded(MEMBERS, raw, field="element")
        start = decoded(_TEXT, members.get("exportDate", NULL), field="exportDate")
        found = sorted(each for each in members if each.startswith(_CHARACTERISTIC))
        records = (msgspec.json.encode({"value": members[each]}) for each in found)
        try:
            values = [read_whole(each, start or NO_START, record) for each, record in zip(found, records, strict=True)]
        except RecordRejected as error:
            raise renamed(error, {"start": "exportDate"}) from None
        return Statistics(index=index, values=tuple(values))

    def read(index: int, raw: msgspec.Raw) -> Sample | Statistics:
        wire = _read_wire(raw)
        element = wire.element
        if not element:
            raise rejection(wire.fault) if wire.fault in reasons() else rejection("missing_field", field="element")
        if element == "ActivitySummary":
            return read_summary(index, raw)
        if element == "Me":
            return read_person(index, raw)
        try:
            return read_sample(index, raw, wire)
        except RecordRejected as error:
            start = _STARTS.get(element, "startDate")
            raise renamed(error, {**_WIRE_NAMES, "start": start}) from None

    def read_sample(index: int, raw: msgspec.Raw, wire: _WireElement) -> Sample:
        element, text = wire.element, wire.value
        identifier = _identifier(wire, raw)
        sample_type = registry.get(identifier)
        kind = None if sample_type is None else sample_type.kind
        value = category = None
        if sample_type is not None and (kind is SampleKind.CATEGORY or kind is SampleKind.WORKOUT):
            category = _category(wire, sample_type)
        elif text is not None:
            value = read_number(text)
            if value is None and kind is SampleKind.QUANTITY:
                raise rejection("wrong_type", field="value")
        members: tuple[Sample, ...] = ()
        series: tuple[Series, ...] = ()
        record: bytes | msgspec.Raw = raw
        if wire.children is not NULL and wire.children != NULL:
            children = decoded(RAWS, wire.children, field="children")
            series, record = take_series(element, bytes(raw), children)
            if element in _WITH_MEMBERS:
                members = tuple(read_members(index, children, strict=element == "Correlation"))
        if kind is not SampleKind.QUANTITY and kind is not SampleKind.CATEGORY:
            record = _POINTER_BYTES.sub(rb"\g<1>0x0>", bytes(record))
        draft = Draft(
            type=identifier,
            start=_start(wire, declared_zone),
            end=wire.end_date or None,
            value=value,
            unit=wire.unit if value is not None else None,
            category=category,
            source=sources[element, wire.source_name, wire.source_version, wire.device],
            metadata=None if wire.metadata is NULL else metadata[bytes(wire.metadata)],
            record=record,
            series=series,
            members=members,
        )
        return normalise(draft, index=index, registry=registry, fidelity=fidelity, declared_zone=declared_zone)

    def read_members(index: int, children: list[msgspec.Raw], *, strict: bool) -> list[Sample]:
        """Of a correlation all or none; of a workout those that can be read, for its details hold them, too."""
        members: list[Sample] = []
        for place, child in enumerate(children):
            name = decoded(CHILD, child, field="children").element
            if name == "Correlation" and strict:
                raise rejection("nested_correlation", field=f"children.{place}")
            if name != "Record":
                continue
            try:
                members.append(read_sample(index, child, _read_wire(child)))
            except RecordRejected as error:
                if strict:
                    field = _WIRE_NAMES.get(error.field, error.field)
                    raise rejection(error.reason, field=f"children.{place}.{field}".rstrip(".")) from None
        return members

    return read


def _read_wire(raw: msgspec.Raw) -> _WireElement:
    try:
        return _ELEMENT.decode(raw)
    except UNREADABLE:
        _, faults = read_fields(raw, _WireElement)
    for fault in faults.values():
        raise fault
    raise rejection("malformed_record")


def _identifier(wire: _WireElement, raw: msgspec.Raw) -> str:
    """An element that is not known here may still be a sample: its type is its name then."""
    if wire.element in _TYPES:
        return _TYPES[wire.element]
    if wire.element == "ClinicalRecord":
        return clinical_type(wire.type or wire.element, raw)
    if wire.element in ("Record", "Correlation") and not wire.type:
        raise rejection("missing_field", field="type")
    return wire.type or wire.element


def _category(wire: _WireElement, sample_type: SampleType) -> int | None:
    if sample_type.kind is SampleKind.WORKOUT:
        return names().workouts.get(wire.workout_activity_type or "")
    if wire.value is None:
        return None
    number = names().categories.get(wire.value)
    if number is None:
        number = _own_category(wire.value, sample_type)
    if number is None:
        raise rejection("value_unknown", field="value")
    return number


def _own_category(text: str, sample_type: SampleType) -> int | None:
    """A number, or a name that the host gave its own type."""
    for number, name in sample_type.category_values.items():
        if name == text:
            return number
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def _start(wire: _WireElement, declared_zone: ZoneInfo | None) -> str:
    """A prescription may have a day without time."""
    text = wire.start_date
    if wire.element in _STARTS:
        text = wire.date_issued if wire.element == "VisionPrescription" else wire.received_date
    if not text:
        raise rejection("missing_field", field="start")
    if len(text) == _DAY_LENGTH and _DAY.fullmatch(text):
        return text + ("T00:00:00" if declared_zone is not None else "T00:00:00Z")
    return text


def _folded(key: _SourceKey) -> _SourceKey:
    element, name, version, device = key
    return element, name, version, _POINTER.sub(r"\g<1>0x0>", device)


def _read_source(key: _SourceKey) -> Source | None:
    element, name, version, device = key
    if element == "Electrocardiogram":
        product = _PRODUCT.search(device)
        return check_source(Source(product_type=product[0]) if product is not None else Source(name=device))
    name = name.replace("\u00a0", " ")
    return check_source(Source(name=name, version=version, device=parse_device_string(device)))
