"""``HealthDataPoint.toJson()`` of the Flutter package ``health``, 4 to 13 (pub.dev/packages/health).

This module reads what 11 to 13 write; older points are rewritten to it first. Points from Health Connect have the
same shape and are read the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from django_healthkit_ingest.core.formats.base import Capabilities, Envelope
from django_healthkit_ingest.core.formats.body import is_bare_array
from django_healthkit_ingest.core.formats.envelope import peek, read_bare_array, read_envelope
from django_healthkit_ingest.core.formats.flutter_generations import translate
from django_healthkit_ingest.core.formats.flutter_values import Reading, names, read_value
from django_healthkit_ingest.core.formats.records import (
    NULL,
    Remembered,
    check_uuid,
    has_own_zone,
    keys,
    parse_records,
    read_fields,
    read_metadata,
)
from django_healthkit_ingest.core.formats.statistics import statistic_reader
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
from django_healthkit_ingest.core.samples import Parsed, Sample, Section, Source, Statistics
from django_healthkit_ingest.core.statistics import WHOLE, StatisticDraft, is_kept_once, normalise_statistic
from django_healthkit_ingest.core.timestamps import find_zone, is_naive
from django_healthkit_ingest.exceptions import RecordRejected


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


class _Dates(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    date_from: str = ""
    date_to: str | None = None
    metadata: msgspec.Raw = NULL


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
    capabilities: ClassVar[Capabilities] = Capabilities(
        uuids=True, deletions=False, offsets=False, precision=timedelta(milliseconds=1)
    )

    def recognises(self, body: bytes) -> bool:
        """An envelope of this name, or an array or envelope of no name that has points among its first elements."""
        seen = peek(body)
        if seen.format is not None:
            return seen.format == self.name
        return any(_is_point(raw) for raw in seen.samples) or (seen.bare_array and not seen.samples)

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
        metadata = Remembered(_read_metadata)
        sources = Remembered(_read_source)
        read_statistic = statistic_reader(registry=registry, fidelity=self.fidelity, declared_zone=declared_zone)

        def read_sample(index: int, raw: msgspec.Raw) -> Sample | Statistics:
            try:
                point = _POINT.decode(raw)
            except UNREADABLE:
                return read_other(index, raw)
            return read_point(index, point, raw)

        def read_other(index: int, raw: msgspec.Raw) -> Sample | Statistics:
            older = translate(raw)
            if older is None:
                return read_point(index, _read_point(raw), raw)
            try:
                return read_point(index, _read_point(older.point), older.point)
            except RecordRejected as error:
                field = _FIELDS.get(error.field, error.field)
                raise rejection(error.reason, field=older.fields.get(field, field)) from None

        def read_point(index: int, point: _Point, raw: msgspec.Raw) -> Sample | Statistics:
            known = names().types.get(point.type)
            identifier = known.identifier if known is not None and known.identifier is not None else point.type
            reading = read_value(point.value, known, unit=point.unit, strictly=has_columns(identifier, registry))
            if is_kept_once(identifier, registry):
                return kept_once(index, point, raw, identifier, reading)
            additions = dict(reading.metadata)
            if point.recording_method == "manual":
                additions["HKWasUserEntered"] = True
            draft = Draft(
                type=identifier,
                start=point.date_from,
                end=point.date_to,
                uuid=check_uuid(_uuid(point.uuid)),
                value=reading.value,
                unit=reading.unit,
                category=reading.category,
                source=sources[point.source_id or "", point.source_name or ""],
                metadata=metadata[bytes(point.metadata), tuple(additions.items())],
                record=raw,
            )
            return normalise(draft, index=index, registry=registry, fidelity=self.fidelity, declared_zone=declared_zone)

        def kept_once(index: int, point: _Point, raw: msgspec.Raw, identifier: str, reading: Reading) -> Statistics:
            draft = StatisticDraft(
                type=identifier,
                aggregation=WHOLE,
                start=point.date_from,
                value=reading.category if reading.value is None else reading.value,
                unit=reading.unit,
                source=sources[point.source_id or "", point.source_name or ""],
                record=raw,
            )
            statistic = normalise_statistic(
                draft, registry=registry, fidelity=self.fidelity, declared_zone=declared_zone
            )
            return Statistics(index=index, values=(statistic,))

        return parse_records(
            records,
            section=section,
            first_index=first_index,
            read_sample=read_sample,
            read_statistic=read_statistic,
            names=_FIELDS,
        )


def _read_point(raw: msgspec.Raw) -> _Point:
    try:
        return _POINT.decode(raw)
    except UNREADABLE:
        values, faults = read_fields(raw, _Point)
    for fault in faults.values():
        raise fault
    return _Point(**values)


def _uuid(text: str | None) -> UUID | None:
    """Empty for characteristics and for the answers of interval queries, which have none."""
    if not text:
        return None
    try:
        return msgspec.convert(text, UUID)
    except msgspec.ValidationError:
        raise rejection("invalid_uuid", field="uuid") from None


def _read_source(names: tuple[str, str]) -> Source | None:
    return check_source(Source(bundle_id=names[0], name=names[1]))


def _read_metadata(key: tuple[bytes, tuple[tuple[str, Any], ...]]) -> JsonObject | None:
    """Metadata with the additions it does not already have."""
    raw, additions = key
    metadata = read_metadata(raw)
    if not additions:
        return metadata
    members = {**dict(additions), **(metadata.members if metadata is not None else {})}
    return read_object(write(members), field="metadata", max_bytes=MAX_METADATA_BYTES)


def _is_point(raw: msgspec.Raw) -> bool:
    return bool({"dateFrom", "sourcePlatform"} & keys(raw)) or translate(raw) is not None


def _naive_fields(raw: msgspec.Raw) -> list[str]:
    older = None
    try:
        dates = _DATES.decode(raw)
        if not dates.date_from and (older := translate(raw)) is not None:
            dates = _DATES.decode(older.point)
    except UNREADABLE:
        return []  # the record will be rejected for it
    found = [
        name for name, text in (("dateFrom", dates.date_from), ("dateTo", dates.date_to)) if text and is_naive(text)
    ]
    if not found or has_own_zone(dates.metadata):
        return []
    return found if older is None else [older.fields.get(name, name) for name in found]
