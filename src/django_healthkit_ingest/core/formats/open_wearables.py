"""What the mobile SDKs of open-wearables send from an iPhone (github.com/the-momentum/open-wearables).

An envelope of their own with three arrays. Records have HealthKit's identifiers; sleep has a stage and workouts have
an activity instead, by names that are data: ``catalogue/open_wearables.json``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from django_healthkit_ingest.core.catalogue import load
from django_healthkit_ingest.core.formats.base import Capabilities, Envelope
from django_healthkit_ingest.core.formats.body import check_text
from django_healthkit_ingest.core.formats.envelope import check_zones, concatenated, peek, require_offsets
from django_healthkit_ingest.core.formats.faults import MAX_TEXT_LENGTH, envelope_fault, invalid_envelope
from django_healthkit_ingest.core.formats.open_wearables_body import read_body
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
)
from django_healthkit_ingest.core.json_text import UNREADABLE, JsonObject
from django_healthkit_ingest.core.normalise import Draft, check_source, has_columns, normalise
from django_healthkit_ingest.core.registry import SampleKind, SampleTypeRegistry
from django_healthkit_ingest.core.rejections import rejection
from django_healthkit_ingest.core.samples import Device, Parsed, Sample, Section, Source, Statistics
from django_healthkit_ingest.core.statistics import WHOLE, StatisticDraft, is_kept_once, normalise_statistic
from django_healthkit_ingest.core.timestamps import find_zone, is_naive


class _WireRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    """Of all three arrays; ``stage`` is sleep's, ``values`` the workouts'."""

    start_date: str
    end_date: str | None = None
    id: UUID | None = None
    type: str | None = None
    zone_offset: str | None = None
    value: float | None = None
    unit: str | None = None
    stage: str | None = None
    metadata: msgspec.Raw = NULL
    source: msgspec.Raw = NULL


class _Dates(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    start_date: str = ""
    end_date: str | None = None
    zone_offset: str | None = None
    metadata: msgspec.Raw = NULL


class _Entry(msgspec.Struct, frozen=True):
    key: str
    value: Any = None


class _Labels(msgspec.Struct, frozen=True):
    provider: str
    percentages_above: dict[str, float]
    """Types that are sent as 0 to 100 where HealthKit has 0 to 1, and the value from which on that is certain."""
    sleep_type: str
    sleep_stage: dict[str, int]
    workout_type: str
    workout_activity: dict[str, int]
    source: dict[str, str]
    device: dict[str, str]
    system_version: tuple[str, ...]


_RECORD = msgspec.json.Decoder(_WireRecord)
_DATES = msgspec.json.Decoder(_Dates)
_ENTRIES = msgspec.json.Decoder(list[_Entry])
_OFFSET = re.compile(r"[+-][0-9]{2}:[0-9]{2}")
_FIELDS = {"start": "startDate", "end": "endDate", "uuid": "id", "category": "value"}


class OpenWearablesFormat:
    name: ClassVar[str] = "open_wearables"
    media_types: ClassVar[frozenset[str]] = frozenset()
    fidelity: ClassVar[int] = 40
    capabilities: ClassVar[Capabilities] = Capabilities(
        uuids=True, deletions=False, offsets=True, precision=timedelta(seconds=1)
    )

    def recognises(self, body: bytes) -> bool:
        seen = peek(body)
        if seen.format is not None:
            return seen.format == self.name
        return {"provider", "data"} <= seen.keys and "samples" not in seen.keys

    def split(self, body: bytes, *, time_zone: str | None) -> Envelope:
        """Records, sleep and workouts become one array, in this order; a record's index counts through it."""
        read, warnings = read_body(check_text(body))
        errors = check_zones(inside=None, outside=time_zone)
        if read.provider != _labels().provider:
            errors.append(envelope_fault("/provider", "unsupported_provider"))
        if read.format not in (None, self.name):
            errors.append(envelope_fault("/format", "format_mismatch"))
        version = read.sdk_version or ""
        if len(version) > MAX_TEXT_LENGTH:
            errors.append(envelope_fault("/sdkVersion", "too_long"))
        if "\0" in version:
            errors.append(envelope_fault("/sdkVersion", "nul_character"))
        if errors:
            raise invalid_envelope(errors)
        arrays = read.data.by_pointer()
        if time_zone is None:
            require_offsets(arrays, naive_fields=_naive_fields)
        samples = concatenated(arrays.values())
        return Envelope(
            records={Section.SAMPLES: samples} if samples else {},
            time_zone=time_zone,
            client={"name": "open-wearables", "version": version} if version else None,
            warnings=warnings,
        )

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
        metadata = Remembered(_read_metadata)
        sources = Remembered(_read_source)

        def read_sample(index: int, raw: msgspec.Raw) -> Sample | Statistics:
            wire = _read_wire(raw, registry=registry)
            identifier, value, category = _meaning(wire, raw, registry=registry)
            if is_kept_once(identifier, registry):
                return kept_once(index, raw, wire, identifier)
            draft = Draft(
                type=identifier,
                start=_local(wire.start_date, wire.zone_offset),
                end=_local(wire.end_date, wire.zone_offset) if wire.end_date is not None else None,
                uuid=check_uuid(wire.id),
                value=value,
                unit=wire.unit,
                category=category,
                source=sources[bytes(wire.source)],
                metadata=metadata[bytes(wire.metadata)],
                record=raw,
            )
            return normalise(draft, index=index, registry=registry, fidelity=self.fidelity, declared_zone=declared_zone)

        def kept_once(index: int, raw: msgspec.Raw, wire: _WireRecord, identifier: str) -> Statistics:
            draft = StatisticDraft(
                type=identifier,
                aggregation=WHOLE,
                start=_local(wire.start_date, wire.zone_offset),
                value=wire.value,
                unit=wire.unit,
                source=sources[bytes(wire.source)],
                record=raw,
            )
            statistic = normalise_statistic(
                draft, registry=registry, fidelity=self.fidelity, declared_zone=declared_zone
            )
            return Statistics(index=index, values=(statistic,))

        return parse_records(
            records, section=section, first_index=first_index, read_sample=read_sample, names=_field_names()
        )


def _read_wire(raw: msgspec.Raw, *, registry: SampleTypeRegistry) -> _WireRecord:
    try:
        return _RECORD.decode(raw)
    except UNREADABLE:
        values, faults = read_fields(raw, _WireRecord)
    if "stage" not in keys(raw) and not has_columns(values.get("type") or "", registry):
        for name in ("value", "unit"):  # what these hold in a structure of its own is the structure's affair
            faults.pop(name, None)
    for fault in faults.values():
        raise fault
    return _WireRecord(**values)


def _meaning(
    wire: _WireRecord, raw: msgspec.Raw, *, registry: SampleTypeRegistry
) -> tuple[str, float | None, float | None]:
    """Identifier, value and category. The three arrays come as one, so that an element's shape says which it was in."""
    labels = _labels()
    if wire.stage is not None:
        stage = labels.sleep_stage.get(wire.stage)
        if stage is None:
            raise rejection("value_unknown", field="stage")
        return labels.sleep_type, None, stage
    if wire.type is None:
        raise rejection("missing_field", field="type")
    if registry.get(wire.type) is None and (wire.type in labels.workout_activity or "values" in keys(raw)):
        return labels.workout_type, None, labels.workout_activity.get(wire.type)
    sample_type = registry.get(wire.type)
    if sample_type is not None and sample_type.kind is SampleKind.CATEGORY:
        return wire.type, None, wire.value
    certain = labels.percentages_above.get(wire.type)
    if certain is not None and wire.value is not None and wire.value > certain:
        return wire.type, wire.value / 100, None
    return wire.type, wire.value, None


def _local(text: str, offset: str | None) -> str | datetime:
    """The date with its zone offset: in UTC it stays the same instant, a naive one is given the offset."""
    if offset is None or not _OFFSET.fullmatch(offset):
        return text
    if is_naive(text):
        return text + offset
    if not text.endswith("Z"):
        return text
    try:
        zone = datetime.strptime(offset, "%z").tzinfo
        return datetime.fromisoformat(text).astimezone(zone)
    except (ValueError, OverflowError):
        return text  # is refused as what it is: no date, or none that is plausible


def _read_metadata(raw: bytes) -> JsonObject | None:
    return read_metadata(_as_object(raw))


def _as_object(metadata: bytes) -> bytes:
    """Older SDKs send metadata as a list of keys and values."""
    if metadata[:1] != b"[":
        return metadata
    try:
        entries = _ENTRIES.decode(metadata)
        return msgspec.json.encode({entry.key: entry.value for entry in entries})
    except (*UNREADABLE, OverflowError):
        raise rejection("wrong_type", field="metadata") from None


def _read_source(raw: bytes) -> Source | None:
    labels = _labels()
    sent = read_texts(raw, (*labels.source, *labels.device), field="source")
    hardware = {ours: sent[key] for key, ours in labels.device.items() if key in sent}
    texts = {ours: sent[key] for key, ours in labels.source.items() if key in sent}
    if raw != b"null":
        texts["system_version"] = _system_version(read_members(raw, field="source"))
    return check_source(Source(**texts, device=Device(**hardware) if hardware else None))


def _system_version(source: dict[str, msgspec.Raw]) -> str:
    try:
        numbers = msgspec.json.decode(source.get("operatingSystemVersion", NULL), type=dict[str, int] | None) or {}
    except UNREADABLE:
        raise rejection("wrong_type", field="source.operatingSystemVersion") from None
    return ".".join(str(numbers[name]) for name in _labels().system_version if name in numbers)


def _naive_fields(raw: msgspec.Raw) -> list[str]:
    try:
        dates = _DATES.decode(raw)
    except UNREADABLE:
        return []  # the record will be rejected for it
    sent = (("startDate", dates.start_date), ("endDate", dates.end_date))
    found = [name for name, text in sent if text and is_naive(text)]
    if not found or has_own_zone(dates.metadata):
        return []
    return [] if dates.zone_offset is not None and _OFFSET.fullmatch(dates.zone_offset) else found


@lru_cache(maxsize=1)
def _labels() -> _Labels:
    return msgspec.convert(load("open_wearables.json"), _Labels)


@lru_cache(maxsize=1)
def _field_names() -> dict[str, str]:
    labels = _labels()
    return {
        **_FIELDS,
        **{f"source.{ours}": f"source.{key}" for key, ours in labels.source.items()},
        **{f"device.{ours}": f"source.{key}" for key, ours in labels.device.items()},
        "source.system_version": "source.operatingSystemVersion",
    }
