"""``HealthDataPoint.toJson()`` of the Flutter package ``health``, 11 to 13 (pub.dev/packages/health).

The names and what they mean in HealthKit are data: ``catalogue/flutter_types.json``. Points from Health Connect have
the same shape and are read the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, ClassVar, Literal, TypeVar
from uuid import UUID

import msgspec

from django_healthkit_ingest.core.catalogue import load
from django_healthkit_ingest.core.formats.base import Envelope
from django_healthkit_ingest.core.formats.envelope import is_bare_array, peek, read_bare_array, read_envelope
from django_healthkit_ingest.core.formats.records import (
    NULL,
    check_uuid,
    has_own_zone,
    keys,
    parse_records,
    read_fields,
    read_members,
    read_metadata,
)
from django_healthkit_ingest.core.json_text import UNREADABLE, JsonObject, read_object, write
from django_healthkit_ingest.core.normalise import (
    MAX_METADATA_BYTES,
    Draft,
    check_source,
    has_columns,
    normalise,
)
from django_healthkit_ingest.core.registry import SampleTypeRegistry
from django_healthkit_ingest.core.rejections import rejection
from django_healthkit_ingest.core.samples import Parsed, Sample, Section, Source
from django_healthkit_ingest.core.timestamps import find_zone, is_naive


class _PointType(msgspec.Struct, frozen=True):
    value_class: str
    unit: str
    identifier: str | None = None
    category_value: int | None = None
    """The type's name says the category; the value then is a duration in minutes, which the dates say too."""
    category_from_value: bool = False


class _Names(msgspec.Struct, frozen=True):
    types: dict[str, _PointType]
    units: dict[str, str]
    menstrual_flow: dict[str, int]
    insulin_delivery_reason: dict[str, int]
    workout_activity: dict[str, int]


class _Point(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    type: str
    date_from: str = msgspec.field(name="dateFrom")
    date_to: str | None = msgspec.field(name="dateTo", default=None)
    uuid: str | None = None
    value: msgspec.Raw = NULL
    unit: str | None = None
    source_id: str | None = msgspec.field(name="sourceId", default=None)
    source_name: str | None = msgspec.field(name="sourceName", default=None)
    recording_method: str | None = msgspec.field(name="recordingMethod", default=None)
    metadata: msgspec.Raw = NULL


class _Numeric(msgspec.Struct, frozen=True, gc=False):
    value_class: Literal["NumericHealthValue"] = msgspec.field(name="__type")
    number: float = msgspec.field(name="numericValue")


class _MenstruationFlow(msgspec.Struct, frozen=True, gc=False):
    value_class: Literal["MenstruationFlowHealthValue"] = msgspec.field(name="__type")
    flow: str | None = None
    is_start: bool | None = msgspec.field(name="isStartOfCycle", default=None)
    was_user_entered: bool | None = msgspec.field(name="wasUserEntered", default=None)


class _InsulinDelivery(msgspec.Struct, frozen=True, gc=False):
    value_class: Literal["InsulinDeliveryHealthValue"] = msgspec.field(name="__type")
    units: float
    reason: str | None = None


class _Workout(msgspec.Struct, frozen=True, gc=False):
    value_class: Literal["WorkoutHealthValue"] = msgspec.field(name="__type")
    activity: str | None = msgspec.field(name="workoutActivityType", default=None)


class _Dates(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    date_from: str = ""
    date_to: str | None = None
    metadata: msgspec.Raw = NULL


class _Reading(msgspec.Struct, frozen=True, gc=False):
    """What a point's value says, in HealthKit's terms."""

    value: float | None = None
    unit: str | None = None
    category: float | None = None
    metadata: dict[str, Any] = {}


V = TypeVar("V", _Numeric, _MenstruationFlow, _InsulinDelivery)

_POINT = msgspec.json.Decoder(_Point)
_DATES = msgspec.json.Decoder(_Dates)
_FIELDS = {
    "start": "dateFrom",
    "end": "dateTo",
    "category": "value",
    "source.name": "sourceName",
    "source.bundle_id": "sourceId",
}


class FlutterFormat:
    name: ClassVar[str] = "flutter"
    media_types: ClassVar[frozenset[str]] = frozenset()
    fidelity: ClassVar[int] = 30

    def recognises(self, body: bytes) -> bool:
        """An envelope of this name, or an array or envelope of no name that has points among its first elements."""
        seen = peek(body)
        if seen.format is not None:
            return seen.format == self.name
        return any({"dateFrom", "sourcePlatform"} & keys(raw) for raw in seen.samples) or (
            seen.bare_array and not seen.samples
        )

    def split(self, body: bytes, *, time_zone: str | None) -> Envelope:
        if is_bare_array(body):
            return read_bare_array(body, time_zone=time_zone, naive_fields=_naive_fields)
        return read_envelope(body, format=self.name, time_zone=time_zone, naive_fields=_naive_fields)

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
        metadata_seen: dict[tuple[bytes, tuple[tuple[str, Any], ...]], JsonObject | None] = {}
        sources_seen: dict[tuple[str | None, str | None], Source | None] = {}

        def read_sample(index: int, raw: msgspec.Raw) -> Sample:
            point = _read_point(raw)
            known = names().types.get(point.type)
            identifier = known.identifier if known is not None and known.identifier is not None else point.type
            reading = _read_value(point, known, strictly=has_columns(identifier, registry))
            additions = dict(reading.metadata)
            if point.recording_method == "manual":
                additions["HKWasUserEntered"] = True
            metadata_key = bytes(point.metadata), tuple(additions.items())
            if metadata_key not in metadata_seen:
                metadata_seen[metadata_key] = _with(additions, read_metadata(metadata_key[0]))
            source_key = point.source_id, point.source_name
            if source_key not in sources_seen:
                source = Source(bundle_id=point.source_id or "", name=point.source_name or "")
                sources_seen[source_key] = check_source(source)
            draft = Draft(
                type=identifier,
                start=point.date_from,
                end=point.date_to,
                uuid=check_uuid(_uuid(point.uuid)),
                value=reading.value,
                unit=reading.unit,
                category=reading.category,
                source=sources_seen[source_key],
                metadata=metadata_seen[metadata_key],
                record=raw,
            )
            return normalise(draft, index=index, registry=registry, fidelity=self.fidelity, declared_zone=declared_zone)

        return parse_records(records, section=section, first_index=first_index, read_sample=read_sample, names=_FIELDS)


@lru_cache(maxsize=1)
def names() -> _Names:
    return msgspec.convert(load("flutter_types.json"), _Names)


def _read_point(raw: msgspec.Raw) -> _Point:
    try:
        return _POINT.decode(raw)
    except UNREADABLE:
        values, faults = read_fields(raw, _Point)
    for fault in faults.values():
        raise fault
    return _Point(**values)


def _read_value(point: _Point, known: _PointType | None, *, strictly: bool) -> _Reading:
    """``strictly``: the value is needed, so a value of another class is refused; else it is kept in the details."""
    if not strictly:
        return _read_loosely(point, known)
    match "NumericHealthValue" if known is None else known.value_class:
        case "MenstruationFlowHealthValue":
            return _read_flow(_read_class(point.value, _MenstruationFlow))
        case "InsulinDeliveryHealthValue":
            return _read_insulin(_read_class(point.value, _InsulinDelivery), unit=_unit(point.unit))
    return _in_columns(_read_class(point.value, _Numeric).number, point, known)


def _in_columns(number: float, point: _Point, known: _PointType | None) -> _Reading:
    if known is not None and known.category_value is not None:
        return _Reading(category=known.category_value)
    if known is not None and known.category_from_value:
        return _Reading(category=number)
    return _Reading(value=number, unit=_unit(point.unit))


def _read_flow(value: _MenstruationFlow) -> _Reading:
    category = names().menstrual_flow.get(value.flow or "unspecified")
    if category is None:
        raise rejection("value_unknown", field="value.flow")
    metadata: dict[str, Any] = {}
    if value.is_start is not None:
        metadata["HKMenstrualCycleStart"] = value.is_start
    if value.was_user_entered:
        metadata["HKWasUserEntered"] = True
    return _Reading(category=category, metadata=metadata)


def _read_insulin(value: _InsulinDelivery, *, unit: str | None) -> _Reading:
    reason = names().insulin_delivery_reason.get(value.reason or "")
    return _Reading(
        value=value.units, unit=unit, metadata={} if reason is None else {"HKInsulinDeliveryReason": reason}
    )


def _read_loosely(point: _Point, known: _PointType | None) -> _Reading:
    unit = _unit(point.unit)
    try:
        if known is not None and known.value_class == "WorkoutHealthValue":
            activity = msgspec.json.decode(point.value, type=_Workout).activity
            return _Reading(unit=unit, category=names().workout_activity.get(activity or ""))
        return _in_columns(msgspec.json.decode(point.value, type=_Numeric).number, point, known)
    except UNREADABLE:
        return _Reading(unit=unit)


def _read_class(raw: msgspec.Raw, expected: type[V]) -> V:
    """Raises RecordRejected with the field ``value`` or one below it."""
    try:
        return msgspec.json.decode(raw, type=expected)
    except UNREADABLE:
        read_members(raw, field="value")
        values, faults = read_fields(raw, expected)
    if "value_class" in faults:
        raise rejection("value_class_unexpected", field="value.__type")
    for fault in faults.values():
        raise rejection(fault.reason, field=f"value.{fault.field}")
    return expected(**values)


def _unit(name: str | None) -> str | None:
    """The HKUnit; what is no name of the package's is left for the unit parser to judge."""
    return names().units.get(name, name) if name is not None else None


def _uuid(text: str | None) -> UUID | None:
    """Empty for characteristics and for the answers of interval queries, which have none."""
    if not text:
        return None
    try:
        return msgspec.convert(text, UUID)
    except msgspec.ValidationError:
        raise rejection("invalid_uuid", field="uuid") from None


def _with(additions: Mapping[str, Any], metadata: JsonObject | None) -> JsonObject | None:
    """Metadata with the additions it does not already have."""
    if not additions:
        return metadata
    members = {**additions, **(metadata.members if metadata is not None else {})}
    return read_object(write(members), field="metadata", max_bytes=MAX_METADATA_BYTES)


def _naive_fields(raw: msgspec.Raw) -> list[str]:
    try:
        dates = _DATES.decode(raw)
    except UNREADABLE:
        return []  # the record will be rejected for it
    found = [
        name for name, text in (("dateFrom", dates.date_from), ("dateTo", dates.date_to)) if text and is_naive(text)
    ]
    return [] if not found or has_own_zone(dates.metadata) else found
