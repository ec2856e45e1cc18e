"""What all wire formats do with an array of raw records: take it apart, read each one, say what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeVar, get_args
from uuid import UUID

import msgspec

from django_healthkit_ingest.core.formats.bounds import is_bomb
from django_healthkit_ingest.core.json_text import UNREADABLE, JsonObject, read_object, replace_lone_surrogates
from django_healthkit_ingest.core.normalise import MAX_METADATA_BYTES, check_source
from django_healthkit_ingest.core.rejections import rejection
from django_healthkit_ingest.core.samples import Deletion, Device, Parsed, Rejected, Sample, Section, Source, Statistics
from django_healthkit_ingest.core.timestamps import find_zone
from django_healthkit_ingest.exceptions import MalformedBody, RecordRejected

NULL = msgspec.Raw(b"null")

K = TypeVar("K")
V = TypeVar("V")

_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str | None)
_DEVICE_FIELDS = Device.__struct_fields__
_SOURCE_FIELDS = tuple(name for name in Source.__struct_fields__ if name != "device")
_STRUCTURE = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},]', re.DOTALL)


class _WireDeletion(msgspec.Struct, frozen=True, gc=False):
    uuid: UUID


class _ZoneMetadata(msgspec.Struct, frozen=True, gc=False):
    HKTimeZone: str | None = None


_ZONE_METADATA = msgspec.json.Decoder(_ZoneMetadata | None)
_DELETION = msgspec.json.Decoder(_WireDeletion)


class Remembered(dict[K, V]):
    """What ``read`` makes of each key, read once: a phone repeats its sources and metadata in thousands of records."""

    def __init__(self, read: Callable[[K], V]) -> None:
        self._read = read

    def __missing__(self, key: K) -> V:
        self[key] = value = self._read(key)
        return value


def parse_records(
    records: bytes,
    *,
    section: Section,
    first_index: int,
    read_sample: Callable[[int, msgspec.Raw], Sample | Statistics],
    names: Mapping[str, str],
    read_statistic: Callable[[int, msgspec.Raw], Statistics] | None = None,
) -> Iterator[Parsed]:
    """One outcome per element. ``names`` are the dialect's names for fields of samples that RecordRejected names
    otherwise. Without ``read_statistic`` the dialect has no statistics, and each one sent is refused.

    Raises MalformedBody if ``records`` is no JSON array.
    """
    read: Callable[[int, msgspec.Raw], Parsed]
    match section:
        case Section.SAMPLES:
            read = read_sample
        case Section.DELETIONS:
            read = _read_deletion
        case Section.STATISTICS:
            read = read_statistic or _refuse_statistic
    own_names = names if section is Section.SAMPLES else {}
    for index, raw in enumerate(split_array(records), first_index):
        try:
            if is_bomb(raw):
                raise rejection("too_long")
            yield read(index, raw)
        except RecordRejected as error:
            field = own_names.get(error.field, error.field)
            yield Rejected(index=index, field=field, code=error.reason, detail=error.detail)


def renamed(error: RecordRejected, names: Mapping[str, str]) -> RecordRejected:
    """The same rejection with the dialect's name for its field."""
    return rejection(error.reason, field=names.get(error.field, error.field))


def split_array(text: bytes) -> list[msgspec.Raw]:
    """The raw elements of a JSON array. Raises MalformedBody."""
    try:
        return _ARRAY.decode(text)
    except RecursionError:  # the stack was shallower when the body was checked; the records' own faults come later
        return _split_deep(text)
    except msgspec.DecodeError:
        repaired = replace_lone_surrogates(text)
    try:
        return _ARRAY.decode(repaired)
    except (msgspec.DecodeError, RecursionError):
        raise MalformedBody("send one JSON array of records") from None


def read_fields(raw: msgspec.Raw, record: type[msgspec.Struct]) -> tuple[dict[str, Any], dict[str, RecordRejected]]:
    """Each field read by itself, for a record that cannot be read in one go: values, and faults by field name.

    Raises RecordRejected if this is not an object at all.
    """
    members = read_members(raw, field="")
    values: dict[str, Any] = {}
    faults: dict[str, RecordRejected] = {}
    for field in _plan(record):
        if field.encode_name not in members:
            if field.required:
                faults[field.name] = rejection("missing_field", field=field.encode_name)
            continue
        try:
            values[field.name] = msgspec.json.decode(members[field.encode_name], type=field.type)
        except UNREADABLE as error:
            reason = _reason(error, member=members[field.encode_name], expected=field.type)
            faults[field.name] = rejection(reason, field=field.encode_name)
    return values, faults


def read_members(raw: bytes | msgspec.Raw, *, field: str) -> dict[str, msgspec.Raw]:
    try:
        return _OBJECT.decode(raw)
    except UNREADABLE as error:
        reason = _reason(error, member=raw, expected=dict)
    raise rejection("malformed_record" if reason == "wrong_type" and not field else reason, field=field)


def keys(raw: msgspec.Raw) -> frozenset[str]:
    """None for what is no object, and for one that is too large. Never raises."""
    if is_bomb(raw):
        return frozenset()
    try:
        return frozenset(_OBJECT.decode(raw))
    except UNREADABLE:
        return frozenset()


def read_texts(raw: bytes | msgspec.Raw, names: tuple[str, ...], *, field: str) -> dict[str, str]:
    """The members of those names that are there; null is as good as absent, and so is null for the whole object."""
    if bytes(raw) == b"null":
        return {}
    members = read_members(raw, field=field)
    texts: dict[str, str] = {}
    for name in names:
        try:
            text = _TEXT.decode(members.get(name, NULL))
        except UNREADABLE as error:
            reason = _reason(error, member=members[name], expected=str)
            raise rejection(reason, field=f"{field}.{name}") from None
        if text:
            texts[name] = text
    return texts


def read_metadata(raw: bytes) -> JsonObject | None:
    if raw == b"null":
        return None
    metadata = read_object(raw, field="metadata", max_bytes=MAX_METADATA_BYTES)
    return metadata if metadata.members else None


def has_own_zone(metadata: msgspec.Raw) -> bool:
    """Whether the metadata name the time zone the sample was recorded in."""
    try:
        zone = _ZONE_METADATA.decode(metadata)
    except UNREADABLE:
        return False
    return zone is not None and zone.HKTimeZone is not None and find_zone(zone.HKTimeZone) is not None


def read_source(raws: tuple[bytes, bytes]) -> Source | None:
    """From ``source`` and ``device`` as the package's own formats have them."""
    source = read_texts(raws[0], _SOURCE_FIELDS, field="source")
    device = read_texts(raws[1], _DEVICE_FIELDS, field="device")
    return check_source(Source(**source, device=Device(**device) if device else None))


def check_uuid(uuid: UUID | None) -> UUID | None:
    """The nil UUID is what a broken client sends for all its records."""
    if uuid is not None and not uuid.int:
        raise rejection("invalid_uuid", field="uuid")
    return uuid


def _read_deletion(index: int, raw: msgspec.Raw) -> Deletion:
    try:
        deletion = _DELETION.decode(raw)
    except UNREADABLE:
        values, faults = read_fields(raw, _WireDeletion)
        for fault in faults.values():
            raise fault from None
        deletion = _WireDeletion(**values)
    check_uuid(deletion.uuid)
    return Deletion(index=index, uuid=deletion.uuid)


def _refuse_statistic(index: int, raw: msgspec.Raw) -> Statistics:
    raise rejection("statistics_unsupported")


@lru_cache(maxsize=64)
def _plan(record: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(record)


def _reason(error: Exception, *, member: bytes | msgspec.Raw, expected: object) -> str:
    """Why a member could not be read; the error's own text is never used, for it may quote the input."""
    if isinstance(error, RecursionError):
        return "too_deep"
    if not isinstance(error, msgspec.ValidationError):
        return "invalid_text"
    first = bytes(member)[:1]
    if first == b'"' and UUID in (expected, *get_args(expected)):
        return "invalid_uuid"
    if first in b"-0123456789" and float in (expected, *get_args(expected)):
        return "number_out_of_range"
    return "wrong_type"


def _split_deep(text: bytes) -> list[msgspec.Raw]:
    """``split_array`` without recursion, for text that is known to be valid JSON."""
    elements: list[msgspec.Raw] = []
    depth, start = 0, text.index(b"[") + 1
    for token in _STRUCTURE.finditer(text):
        match token[0]:
            case b"[" | b"{":
                depth += 1
            case b"]" | b"}":
                depth -= 1
            case b"," if depth == 1:
                elements.append(msgspec.Raw(text[start : token.start()].strip()))
                start = token.end()
    last = text[start : text.rindex(b"]")].strip()
    return [*elements, msgspec.Raw(last)] if last else elements
