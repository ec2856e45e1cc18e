"""The envelope the formats of this package share: everything around the records, which stay raw."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from django_healthkit_ingest.core.formats.base import Envelope
from django_healthkit_ingest.core.formats.records import NULL, read_fields, read_members
from django_healthkit_ingest.core.json_text import replace_lone_surrogates
from django_healthkit_ingest.core.rejections import reasons
from django_healthkit_ingest.core.samples import Section
from django_healthkit_ingest.core.states import Lane
from django_healthkit_ingest.core.timestamps import find_zone
from django_healthkit_ingest.exceptions import (
    FieldError,
    InvalidEnvelope,
    MalformedBody,
    RecordRejected,
    TimeZoneRequired,
)

VERSION = 1
MAX_TEXT_LENGTH = 255
"""Of the members of ``device`` and ``client``."""
MAX_ERRORS = 10
MAX_WARNINGS = 10

_BOM = codecs.BOM_UTF8
_PIECE = 2**20
_PEEKED_SAMPLES = 10
_ARRAY_FIRST = re.compile(rb"\s*\[")
_FORMAT_FIRST = re.compile(rb'\s*\{\s*"format"\s*:\s*"([a-z0-9_]{1,64})"')
_FAULTS = {
    "missing_field": "the key is required; send an empty array if there is nothing",
    "wrong_type": "the value has the wrong JSON type",
    "unsupported_version": f"this server speaks version {VERSION} of the envelope",
    "format_mismatch": "the body names another format than the request",
    "invalid_lane": f"use one of {', '.join(Lane)}",
    "invalid_time_zone": "use an IANA time zone name, such as Europe/Berlin",
    "time_zone_mismatch": "the body names another time zone than the request; send it once",
    "too_long": f"use at most {MAX_TEXT_LENGTH} characters",
    "nul_character": "remove the character U+0000",
}


class _Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    samples: list[msgspec.Raw]
    format: str | None = None
    version: int | None = None
    time_zone: str | None = None
    lane: str | None = None
    device: dict[str, str] | None = None
    client: dict[str, str] | None = None
    deletions: list[msgspec.Raw] | None = None
    statistics: list[msgspec.Raw] | None = None
    sequence: msgspec.Raw = NULL
    anchors: msgspec.Raw = NULL
    windows: msgspec.Raw = NULL


class Peek(msgspec.Struct, frozen=True):
    """As much of a body as tells its format."""

    format: str | None = None
    samples: list[msgspec.Raw] = []
    bare_array: bool = False


class _Named(msgspec.Struct, frozen=True):
    format: str


class _PeekBody(msgspec.Struct, frozen=True):
    samples: list[msgspec.Raw]
    format: str | None = None


_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_BODY = msgspec.json.Decoder(_Body)
_PEEK = msgspec.json.Decoder(_PeekBody)
_NAMED = msgspec.json.Decoder(_Named)
_IGNORED = ("sequence", "anchors", "windows")
_PARTIES = {"device": ("id", "model", "system_version"), "client": ("name", "version")}


def join(raws: Iterable[msgspec.Raw]) -> bytes:
    """A JSON array of raw records, as ``Format.parse`` takes it."""
    return b"[" + b",".join(raws) + b"]"


def read_envelope(
    body: bytes,
    *,
    format: str,
    time_zone: str | None,
    naive_fields: Callable[[msgspec.Raw], Iterable[str]],
) -> Envelope:
    """Raises MalformedBody, InvalidEnvelope, TimeZoneRequired; none of them quotes the body.

    ``naive_fields`` names a sample's dates that have neither an offset nor a zone of the sample's own; it is asked
    only if no zone is declared.
    """
    text = _check_text(body)
    read, unknown = _decode(text)
    errors = [
        *_check_keys(read, format=format),
        *_check_zones(inside=read.time_zone, outside=time_zone),
        *_check_parties(device=read.device, client=read.client),
    ]
    if errors:
        raise _invalid(errors)
    zone = read.time_zone or time_zone
    if zone is None:
        _require_offsets(read.samples, naive_fields=naive_fields, pointer="/samples")
    sections = {
        Section.SAMPLES: read.samples,
        Section.DELETIONS: read.deletions or [],
        Section.STATISTICS: read.statistics or [],
    }
    ignored = [name for name in _IGNORED if bytes(getattr(read, name)) != b"null"]
    return Envelope(
        records={section: raws for section, raws in sections.items() if raws},
        time_zone=zone,
        lane=read.lane,
        device=read.device,
        client=read.client,
        warnings=tuple(ignored + _printable(unknown)),
    )


def read_bare_array(
    body: bytes, *, time_zone: str | None, naive_fields: Callable[[msgspec.Raw], Iterable[str]]
) -> Envelope:
    """An array of samples without any envelope. Raises as ``read_envelope`` does."""
    try:
        samples = _guarded(_ARRAY.decode, _check_text(body))
    except msgspec.ValidationError:
        raise InvalidEnvelope("the body must be a JSON array of samples") from None
    errors = _check_zones(inside=None, outside=time_zone)
    if errors:
        raise _invalid(errors)
    if time_zone is None:
        _require_offsets(samples, naive_fields=naive_fields, pointer="")
    return Envelope(records={Section.SAMPLES: samples} if samples else {}, time_zone=time_zone)


def is_bare_array(body: bytes) -> bool:
    return _ARRAY_FIRST.match(body.removeprefix(_BOM)) is not None


def peek(body: bytes) -> Peek:
    """What the body says about its format; nothing if it cannot be read. Never raises."""
    if first := _FORMAT_FIRST.match(body.removeprefix(_BOM)):
        return Peek(format=first[1].decode())
    try:
        text = _check_text(body)
        if is_bare_array(text):
            return Peek(samples=_guarded(_ARRAY.decode, text)[:_PEEKED_SAMPLES], bare_array=True)
        try:
            read = _guarded(_PEEK.decode, text)
        except msgspec.ValidationError:  # a faulty envelope is still its format's to refuse, if it has a name
            return Peek(format=_guarded(_NAMED.decode, text).format)
    except (MalformedBody, msgspec.ValidationError):
        return Peek(format="")
    return Peek(format=read.format, samples=read.samples[:_PEEKED_SAMPLES])


def _check_text(body: bytes) -> bytes:
    """The body without a byte order mark. Raises MalformedBody if it is not UTF-8, which raw records would hide."""
    text = body.removeprefix(_BOM)
    if not text.isascii():
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            for start in range(0, len(text), _PIECE):
                decoder.decode(text[start : start + _PIECE], final=start + _PIECE >= len(text))
        except UnicodeDecodeError:
            raise MalformedBody("the body is not UTF-8; encode it as UTF-8") from None
    return text


def _guarded(decode: Callable[[bytes], Any], text: bytes) -> Any:
    """Raises MalformedBody for what is not JSON, ValidationError for JSON of the wrong shape."""
    try:
        return decode(text)
    except msgspec.ValidationError:
        raise
    except RecursionError:
        raise MalformedBody("the body is nested too deeply; flatten it") from None
    except msgspec.DecodeError:
        repaired = replace_lone_surrogates(text)
    if repaired == text:
        raise MalformedBody("the body is not well-formed JSON; send one JSON document") from None
    return _guarded(decode, repaired)


def _decode(text: bytes) -> tuple[_Body, list[str]]:
    """The body, and the names of keys this version does not know. One pass, if all is well."""
    try:
        return _guarded(_BODY.decode, text), []
    except msgspec.ValidationError:
        pass
    raw = _guarded(msgspec.json.Decoder(msgspec.Raw).decode, text)
    try:
        values, faults = read_fields(raw, _Body)
        members = read_members(raw, field="")
    except RecordRejected:
        raise InvalidEnvelope("the body must be a JSON object with a key 'samples'") from None
    if faults:
        raise _invalid([_error(pointer, code) for name in faults for pointer, code in _locate(name, faults, members)])
    return _Body(**values), [name for name in members if name not in _Body.__struct_fields__]


def _locate(name: str, faults: dict[str, RecordRejected], members: dict[str, msgspec.Raw]) -> list[tuple[str, str]]:
    """The pointers of a faulty key, down to the member if its name is one of ours."""
    code = "missing_field" if faults[name].reason == "missing_field" else "wrong_type"
    inner: list[str] = []
    if name in _PARTIES:
        try:
            party = read_members(members[name], field=name)
        except RecordRejected:
            return [(f"/{name}", code)]
        inner = [each for each in _PARTIES[name] if each in party and bytes(party[each])[:1] != b'"']
    return [(f"/{name}/{each}", code) for each in inner] or [(f"/{name}", code)]


def _check_keys(read: _Body, *, format: str) -> list[FieldError]:
    errors = []
    if read.version not in (None, VERSION):
        errors.append(_error("/version", "unsupported_version"))
    if read.format not in (None, format):
        errors.append(_error("/format", "format_mismatch"))
    if read.lane is not None and read.lane not in tuple(Lane):
        errors.append(_error("/lane", "invalid_lane"))
    return errors


def _check_zones(*, inside: str | None, outside: str | None) -> list[FieldError]:
    for name in (inside, outside):
        if name is not None and find_zone(name) is None:
            return [_error("/time_zone", "invalid_time_zone")]
    if inside is not None and outside is not None and inside != outside:
        return [_error("/time_zone", "time_zone_mismatch")]
    return []


def _check_parties(**parties: dict[str, str] | None) -> list[FieldError]:
    errors = []
    for party, members in parties.items():
        for name, text in (members or {}).items():
            pointer = f"/{party}/{name}" if name in _PARTIES[party] else f"/{party}"
            if max(len(name), len(text)) > MAX_TEXT_LENGTH:
                errors.append(_error(pointer, "too_long"))
            if "\0" in name + text:
                errors.append(_error(pointer, "nul_character"))
    return errors


def _require_offsets(
    samples: list[msgspec.Raw], *, naive_fields: Callable[[msgspec.Raw], Iterable[str]], pointer: str
) -> None:
    errors: list[FieldError] = []
    for index, raw in enumerate(samples):
        errors.extend(
            FieldError(pointer=f"{pointer}/{index}/{name}", code="naive_date", detail=reasons()["naive_date"])
            for name in naive_fields(raw)
        )
        if len(errors) >= MAX_ERRORS:
            break
    if errors:
        raise TimeZoneRequired(
            "Dates without a UTC offset cannot be placed in time: send time_zone with an IANA name such as"
            " Europe/Berlin, or dates with an offset.",
            errors=tuple(errors[:MAX_ERRORS]),
        )


def _printable(names: list[str]) -> list[str]:
    """Names a client made up, short and harmless enough to be stored and shown."""
    return [name[:64] if name.isprintable() else "(unprintable)" for name in names[:MAX_WARNINGS]]


def _error(pointer: str, code: str) -> FieldError:
    return FieldError(pointer=pointer, code=code, detail=_FAULTS[code])


def _invalid(errors: list[FieldError]) -> InvalidEnvelope:
    shown = tuple(errors[:MAX_ERRORS])
    return InvalidEnvelope("; ".join(f"{error.pointer}: {error.detail}" for error in shown), errors=shown)
