"""From what a dialect wrote to what HealthKit meant: the one place where a record becomes a Sample."""

from __future__ import annotations

import re
from datetime import datetime
from math import isfinite
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from django_healthkit_ingest.core.identity import (
    digest_of,
    fingerprint,
    rank,
    source_digits,
    sync_key,
)
from django_healthkit_ingest.core.json_text import JsonObject, read_object
from django_healthkit_ingest.core.registry import MAX_IDENTIFIER_LENGTH, SampleKind, SampleType, SampleTypeRegistry
from django_healthkit_ingest.core.rejections import rejection
from django_healthkit_ingest.core.samples import Device, Sample, Series, Source
from django_healthkit_ingest.core.series import take_series
from django_healthkit_ingest.core.timestamps import find_zone, read_interval
from django_healthkit_ingest.core.units import MAX_UNIT_LENGTH, converter, parse_unit
from django_healthkit_ingest.exceptions import UnitError

NORMALISER_VERSION = 2
"""Raise it by 1 when the same draft gives another Sample than before: replayed records then replace their rows."""

MAX_METADATA_BYTES = 256 * 1024
MAX_DETAILS_BYTES = 8 * 2**20
MAX_TEXT_LENGTH = 255
"""Of a source's and a device's fields."""

_QUANTITY, _CATEGORY = _COLUMNS = (SampleKind.QUANTITY, SampleKind.CATEGORY)
_INT32 = 2**31
_INT64 = 2**63
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NOT_APPLICABLE = {0: "NotApplicable"}


class Draft(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A record in no dialect: names and units are HealthKit's, nothing is checked yet but JSON types."""

    type: str
    start: str | datetime
    end: str | datetime | None = None
    time_zone: str | None = None
    """The record's own zone. One in its ``HKTimeZone`` metadata is found without it."""
    uuid: UUID | None = None
    value: float | None = None
    unit: str | None = None
    """None: not sent. Empty: dimensionless."""
    category: float | None = None
    source: Source | None = None
    metadata: JsonObject | None = None
    record: bytes | msgspec.Raw
    """The whole record as JSON, kept for types that have no columns."""
    series: tuple[Series, ...] = ()
    """What is to be kept apart besides what ``series.json`` finds in the record."""
    members: tuple[Sample, ...] = ()


def normalise(
    draft: Draft, *, index: int, registry: SampleTypeRegistry, fidelity: int, declared_zone: ZoneInfo | None
) -> Sample:
    """Raises RecordRejected; its ``field`` is one of the draft's.

    A quantity is converted to its type's canonical unit; a percentage is a fraction there (0.97). A category's number
    need not be in its enum: new versions of iOS bring new ones. Every other kind, and a type the registry does not
    know, is kept whole in ``details`` (without its series), beside the value, unit and category that were sent.
    """
    sample_type = registry.get(draft.type)
    kind = None if sample_type is None else sample_type.kind
    own_zone = _own_zone(draft) if draft.metadata is not None or draft.time_zone is not None else None
    interval = read_interval(draft.start, draft.end, own_zone=own_zone, declared_zone=declared_zone)
    value: float | None = None
    category: int | None = None
    unit = details = digest = ""
    series = draft.series
    if sample_type is not None and kind is _QUANTITY:
        value = to_unit(draft.value, draft.unit, sample_type.canonical_unit)
    elif sample_type is not None and kind is _CATEGORY:
        category = _category(draft, sample_type)
    else:
        if sample_type is None:
            check_identifier(draft.type)
        value, unit, category = _columns_as_sent(draft)
        found, record = take_series(bytes(draft.record), kind=kind)
        series += found
        whole = read_object(record, field="", max_bytes=MAX_DETAILS_BYTES)
        details, digest = whole.text, whole.digest
    identifier = draft.type if sample_type is None else sample_type.identifier
    start, end, time_zone, zone_basis = interval.start_us, interval.end_us, interval.time_zone, interval.zone_basis
    metadata = draft.metadata
    mark = version = notes = None
    noted = ""
    if metadata is not None:
        notes, noted = metadata.text, metadata.digest
        mark, version = _sync(draft)
    # What content_digest() joins, written out: once per record the parts' tuple is dear.
    content = (
        f"{identifier}\x1f{start}\x1f{end}\x1f{time_zone}\x1f{zone_basis._value_}\x1f{value}\x1f{category}"
        f"\x1f{unit}\x1f{source_digits(draft.source)}\x1f{noted}\x1f{digest}"
    )
    if series:
        content = "\x1f".join((content, *(each.digest for each in series)))
    known = sample_type is not None
    # By position: 23 keywords would take six times as long.
    return Sample(
        index,
        identifier,
        known,
        draft.uuid,
        fingerprint(identifier=identifier, kind=kind, start=start, end=end, value=value, category=category),
        rank(
            fidelity=fidelity,
            normaliser_version=reading_version(known=known),
            content_digest=digest_of(content),
        ),
        interval.start,
        interval.end,
        start,
        end,
        time_zone,
        zone_basis,
        value,
        category,
        unit,
        draft.source,
        notes,
        details or None,
        kind,
        mark,
        version,
        series,
        draft.members,
    )


def reading_version(*, known: bool) -> int:
    """``rank``'s version: a newer normaliser's reading wins, and among its readings one that knows the type, so that a
    record replayed after its type became known replaces the row it was kept whole in.
    """
    return NORMALISER_VERSION * 2 + known


def has_columns(identifier: str, registry: SampleTypeRegistry) -> bool:
    """Whether records of the type are values or categories; all others are kept whole, whatever they hold."""
    sample_type = registry.get(identifier)
    return sample_type is not None and sample_type.kind in _COLUMNS


def check_source(source: Source) -> Source | None:
    """None if the source says nothing. Raises RecordRejected with ``source.<field>`` or ``device.<field>``."""
    device = source.device
    for part, texts in (("source", source), ("device", device)):
        for name in texts.__struct_fields__ if texts is not None else ():
            text = getattr(texts, name)
            if isinstance(text, str):
                check_text(text, field=f"{part}.{name}", max_length=MAX_TEXT_LENGTH)
    if device == Device():
        source = msgspec.structs.replace(source, device=None)
    return None if source == Source() else source


def to_unit(value: float | None, unit: str | None, canonical_unit: str) -> float:
    """Raises RecordRejected with ``value`` or ``unit``; None is a field that was not sent."""
    if value is None:
        raise rejection("missing_field", field="value")
    if isinstance(value, bool):
        raise rejection("wrong_type", field="value")
    if unit is None:
        raise rejection("missing_unit", field="unit")
    if unit != canonical_unit:
        scale, offset = _converter(unit, canonical_unit)
        value = value * scale + offset
    return _finite(value)


def as_sent(value: float | None, unit: str | None) -> tuple[float | None, str]:
    """Value and unit of a record that is no quantity, unconverted. Raises RecordRejected with ``value`` or ``unit``."""
    text = unit or ""
    check_text(text, field="unit", max_length=MAX_UNIT_LENGTH)
    return (_finite(value) if value is not None else None), text


def read_zone(name: str) -> ZoneInfo:
    """Raises RecordRejected with ``time_zone``."""
    zone = find_zone(name)
    if zone is None:
        raise rejection("invalid_time_zone", field="time_zone")
    return zone


def check_identifier(identifier: str) -> None:
    """Of a type that is not known. Raises RecordRejected with ``type``."""
    if not identifier:
        raise rejection("missing_field", field="type")
    check_text(identifier, field="type", max_length=MAX_IDENTIFIER_LENGTH)
    if _CONTROL.search(identifier):
        raise rejection("control_character", field="type")


def _sync(draft: Draft) -> tuple[UUID | None, int | None]:
    """What an app that replaces its own samples says of this one.

    ``HKMetadataKeySyncIdentifier`` is unique within an app, so without its bundle id, or without the version, which
    HealthKit asks for, nothing can be replaced; and without a uuid the replaced one could not be named.
    """
    assert draft.metadata is not None
    members = draft.metadata.members
    identifier, version = members.get("HKMetadataKeySyncIdentifier"), members.get("HKMetadataKeySyncVersion")
    bundle_id = draft.source.bundle_id if draft.source is not None else ""
    if not (draft.uuid and bundle_id and identifier and isinstance(identifier, str)):
        return None, None
    number = _whole_number(version) if isinstance(version, int | float) else None
    if number is None or not -_INT64 <= number < _INT64:
        return None, None
    return sync_key(bundle_id=bundle_id, identifier=identifier), number


def _own_zone(draft: Draft) -> ZoneInfo | None:
    if draft.time_zone is not None:
        return read_zone(draft.time_zone)
    name = draft.metadata.members.get("HKTimeZone") if draft.metadata is not None else None
    # Any app may write this key, and an offset or a declared zone may still do: a wrong name is no fault.
    return find_zone(name) if isinstance(name, str) else None


def _converter(unit: str, canonical_unit: str) -> tuple[float, float]:
    if len(unit) > MAX_UNIT_LENGTH:
        raise rejection("too_long", field="unit")
    try:
        return converter(unit, canonical_unit)
    except UnitError:
        reason = "unit_mismatch" if _is_unit(unit) else "unit_unknown"
    raise rejection(reason, field="unit")


def _is_unit(text: str) -> bool:
    try:
        parse_unit(text)
    except UnitError:
        return False
    return True


def _finite(value: float) -> float:
    if not isfinite(value):
        raise rejection("number_out_of_range", field="value")
    return value + 0.0  # a negative zero becomes zero


def _category(draft: Draft, sample_type: SampleType) -> int:
    if draft.category is None:
        if sample_type.category_values == _NOT_APPLICABLE:
            return 0
        raise rejection("missing_field", field="category")
    category = _whole_number(draft.category)
    if category is None:
        raise rejection("wrong_type", field="category")
    if not -_INT32 <= category < _INT32:
        raise rejection("number_out_of_range", field="category")
    return category


def _whole_number(number: float) -> int | None:
    """Clients whose numbers are all doubles write 3.0."""
    if isinstance(number, int):
        return None if isinstance(number, bool) else number
    return int(number) if number.is_integer() else None


def _columns_as_sent(draft: Draft) -> tuple[float | None, str, int | None]:
    value, unit = as_sent(draft.value, draft.unit)
    category = _whole_number(draft.category) if draft.category is not None else None
    if category is not None and not -_INT32 <= category < _INT32:
        category = None
    return value, unit, category


def check_text(text: str, *, field: str, max_length: int) -> None:
    if len(text) > max_length:
        raise rejection("too_long", field=field)
    if "\0" in text:
        raise rejection("nul_character", field=field)
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise rejection("invalid_text", field=field)
