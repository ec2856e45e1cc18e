"""The envelope the formats of this package share: everything around the records, which stay raw."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import lru_cache
from itertools import chain, islice
from typing import Annotated, ClassVar

import msgspec

from django_healthkit_ingest.core.formats.base import Envelope
from django_healthkit_ingest.core.formats.body import check_text, guarded, is_bare_array, without_mark
from django_healthkit_ingest.core.formats.bounds import MAX_RECORD_VALUES, is_bomb
from django_healthkit_ingest.core.formats.faults import (
    MAX_ERRORS,
    MAX_TEXT_LENGTH,
    VERSION,
    envelope_fault,
    invalid_envelope,
)
from django_healthkit_ingest.core.formats.records import NULL, read_fields, read_members
from django_healthkit_ingest.core.formats.repeats import find_repeats, is_all
from django_healthkit_ingest.core.formats.windows import MAX_WINDOWS, check_anchors, read_windows
from django_healthkit_ingest.core.json_text import UNREADABLE
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

MAX_WARNINGS = 10
MAX_SEQUENCE = 2**63 - 1

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""A date as nearly all are: RFC 3339 with an offset. Reading it so takes less time than looking at its text."""

_PEEKED_SAMPLES = 10
_PEEKED_BYTES = 4096
_FORMAT_FIRST = re.compile(rb'\s*+\{\s*+"format"\s*+:\s*+"([a-z0-9_]{1,64})"')


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The envelope's members. A dialect whose client library has an envelope of its own adds that one's members."""

    sample_arrays: ClassVar[Mapping[str, str]] = {"samples": "samples"}
    """Members that hold samples, with their keys on the wire; one of them has to be there."""
    deletion_arrays: ClassVar[tuple[str, ...]] = ("deletions",)
    ignored: ClassVar[Mapping[str, str]] = {}
    """Members this package knows and has no use for, with their keys on the wire."""

    samples: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    format: str | None = None
    version: int | None = None
    time_zone: str | None = None
    lane: str | None = None
    device: dict[str, str] | None = None
    client: dict[str, str] | None = None
    deletions: list[msgspec.Raw] | None = None
    statistics: list[msgspec.Raw] | None = None
    sequence: int | None = None
    anchors: dict[str, str] | None = None
    windows: list[msgspec.Raw] | None = None


class Peek(msgspec.Struct, frozen=True):
    """As much of a body as tells its format."""

    format: str | None = None
    samples: list[msgspec.Raw] = []
    bare_array: bool = False
    keys: frozenset[str] = frozenset()
    """Of the outermost object."""

    @property
    def is_empty(self) -> bool:
        """Whether this is an envelope of ours and nobody else's, with no samples to tell whose they are."""
        return not self.samples and "samples" in self.keys and self.keys <= frozenset(Body.__struct_fields__)


_peeked: ContextVar[list[tuple[bytes, Peek]] | None] = ContextVar("healthkit_ingest_peeked", default=None)

_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_ANY = msgspec.json.Decoder(msgspec.Raw)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str | None)
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
    aware: type[msgspec.Struct] | None = None,
    shape: type[Body] = Body,
) -> Envelope:
    """Raises MalformedBody, InvalidEnvelope, TimeZoneRequired; none of them quotes the body.

    ``naive_fields`` names a sample's dates that have neither an offset nor a zone of the sample's own; it is asked
    only if no zone is declared. ``aware`` has the same dates as ``Instant``: it is for a quick look first, and whatever
    it cannot read is looked at again.
    """
    text = check_text(body)
    read, unknown = _decode(text, shape)
    arrays = {key: getattr(read, name) for name, key in read.sample_arrays.items()}
    samples = {key: raws for key, raws in arrays.items() if isinstance(raws, list)}
    zone = read.time_zone or time_zone
    windows, window_faults = read_windows(read.windows or (), time_zone=zone)
    naive = [pointer for pointer, code in window_faults if code == "naive_date"]
    errors = [
        *_check_repeats(text, read),
        *_check_keys(read, format=format),
        *([] if samples else [envelope_fault("/samples", "missing_field")]),
        *check_zones(inside=read.time_zone, outside=time_zone),
        *_check_parties(device=read.device, client=read.client),
        *(envelope_fault(f"/anchors{pointer}", code) for pointer, code in check_anchors(read.anchors or {})),
        *(envelope_fault(f"/windows{pointer}", code) for pointer, code in window_faults if code != "naive_date"),
    ]
    if errors:
        raise invalid_envelope(errors)
    if zone is None:
        unclear = {f"/{key}": raws for key, raws in samples.items() if aware is None or not _are_all(aware, raws)}
        require_offsets(unclear, naive_fields=naive_fields)
    if naive:
        raise _time_zone_required(f"/windows{pointer}" for pointer in naive)
    sections = {
        Section.SAMPLES: concatenated(samples.values()),
        Section.DELETIONS: concatenated(getattr(read, name) or [] for name in read.deletion_arrays),
        Section.STATISTICS: read.statistics or [],
    }
    ignored = [key for name, key in read.ignored.items() if bytes(getattr(read, name)) != b"null"]
    return Envelope(
        records={section: raws for section, raws in sections.items() if raws},
        time_zone=zone,
        lane=read.lane,
        device=read.device,
        client=read.client,
        sequence=read.sequence,
        anchors=read.anchors or None,
        windows=windows,
        warnings=tuple(ignored + printable(unknown)),
    )


def concatenated(arrays: Iterable[list[msgspec.Raw]]) -> list[msgspec.Raw]:
    """One array, in which a record's index is its place after all the arrays before its own."""
    filled = [raws for raws in arrays if raws]
    return filled[0] if len(filled) == 1 else list(chain.from_iterable(filled))


def read_bare_array(
    body: bytes, *, time_zone: str | None, naive_fields: Callable[[msgspec.Raw], Iterable[str]]
) -> Envelope:
    """An array of samples without any envelope. Raises as ``read_envelope`` does."""
    try:
        samples = guarded(_ARRAY.decode, check_text(body))
    except msgspec.ValidationError:
        raise InvalidEnvelope("the body must be a JSON array of samples") from None
    errors = check_zones(inside=None, outside=time_zone)
    if errors:
        raise invalid_envelope(errors)
    if time_zone is None:
        require_offsets({"": samples}, naive_fields=naive_fields)
    return Envelope(records={Section.SAMPLES: samples} if samples else {}, time_zone=time_zone)


@contextmanager
def peeking_once() -> Iterator[None]:
    """Within it a body that several formats peek at is read for the first of them only."""
    token = _peeked.set([])
    try:
        yield
    finally:
        _peeked.reset(token)


def peek(body: bytes) -> Peek:
    """What the body says about its format; nothing if it cannot be read. Never raises."""
    peeked = _peeked.get()
    for known, seen in peeked or ():
        if known is body:
            return seen
    seen = _peek(body)
    if peeked is not None:
        peeked.append((body, seen))
    return seen


def _peek(body: bytes) -> Peek:
    if first := _FORMAT_FIRST.match(without_mark(body[:_PEEKED_BYTES])):
        return Peek(format=first[1].decode())
    try:
        text = check_text(body)
        if is_bare_array(text):
            return Peek(samples=guarded(_ARRAY.decode, text)[:_PEEKED_SAMPLES], bare_array=True)
        members = guarded(_MEMBERS.decode, text)
        names = frozenset(members)
        name = guarded(_TEXT.decode, members.get("format", NULL))
        if name is not None:  # a faulty envelope is still its format's to refuse, if it has a name
            return Peek(format=name, keys=names)
        samples = guarded(_ARRAY.decode, members["samples"])[:_PEEKED_SAMPLES] if "samples" in members else []
    except (MalformedBody, msgspec.ValidationError):
        return Peek(format="")
    return Peek(samples=samples, keys=names)


def _decode(text: bytes, shape: type[Body]) -> tuple[Body, list[str]]:
    """The body, and the names of keys this version does not know. One pass, if all is well."""
    try:
        return guarded(_decoder(shape).decode, text), []
    except msgspec.ValidationError:
        pass
    raw = guarded(_ANY.decode, text)
    try:
        values, faults = read_fields(raw, shape)
        members = read_members(raw, field="")
    except RecordRejected:
        raise InvalidEnvelope("the body must be a JSON object with a key 'samples'") from None
    if faults:
        raise invalid_envelope(
            [envelope_fault(pointer, code) for fault in faults.values() for pointer, code in _locate(fault, members)]
        )
    return shape(**values), [name for name in members if name not in shape.__struct_encode_fields__]


@lru_cache(maxsize=16)
def _decoder(shape: type[Body]) -> msgspec.json.Decoder[Body]:
    return msgspec.json.Decoder(shape)


def _locate(fault: RecordRejected, members: dict[str, msgspec.Raw]) -> list[tuple[str, str]]:
    """The pointers of a faulty key, down to the member if its name is one of ours."""
    name = fault.field
    code = "missing_field" if fault.reason == "missing_field" else "wrong_type"
    inner: list[str] = []
    if name in _PARTIES:
        try:
            party = read_members(members[name], field=name)
        except RecordRejected:
            return [(f"/{name}", code)]
        inner = [each for each in _PARTIES[name] if each in party and bytes(party[each])[:1] != b'"']
    return [(f"/{name}/{each}", code) for each in inner] or [(f"/{name}", code)]


def _check_repeats(text: bytes, read: Body) -> list[FieldError]:
    """One body that was put together from two would lose what the first one held."""
    known = {*read.__struct_encode_fields__, *chain(*_PARTIES.values())}
    pointers = [] if is_all(text, read) else find_repeats(text, known=known, inside=(*_PARTIES, "anchors"))
    for place, window in enumerate((read.windows or [])[:MAX_WINDOWS]):
        pointers += find_repeats(window, known=(), at=f"/windows/{place}")
    return [envelope_fault(pointer, "duplicate_key") for pointer in pointers]


def _check_keys(read: Body, *, format: str) -> list[FieldError]:
    errors = []
    if read.version not in (None, VERSION):
        errors.append(envelope_fault("/version", "unsupported_version"))
    if read.format not in (None, format):
        errors.append(envelope_fault("/format", "format_mismatch"))
    if read.lane is not None and read.lane not in tuple(Lane):
        errors.append(envelope_fault("/lane", "invalid_lane"))
    if read.sequence is not None and not 0 <= read.sequence <= MAX_SEQUENCE:
        errors.append(envelope_fault("/sequence", "number_out_of_range"))
    return errors


def check_zones(*, inside: str | None, outside: str | None) -> list[FieldError]:
    for name in (inside, outside):
        if name is not None and find_zone(name) is None:
            return [envelope_fault("/time_zone", "invalid_time_zone")]
    if inside is not None and outside is not None and inside != outside:
        return [envelope_fault("/time_zone", "time_zone_mismatch")]
    return []


def _check_parties(**parties: dict[str, str] | None) -> list[FieldError]:
    errors = []
    for party, members in parties.items():
        for name, text in (members or {}).items():
            pointer = f"/{party}/{name}" if name in _PARTIES[party] else f"/{party}"
            if max(len(name), len(text)) > MAX_TEXT_LENGTH:
                errors.append(envelope_fault(pointer, "too_long"))
            if "\0" in name + text:
                errors.append(envelope_fault(pointer, "nul_character"))
    return errors


def require_offsets(
    arrays: Mapping[str, list[msgspec.Raw]], *, naive_fields: Callable[[msgspec.Raw], Iterable[str]]
) -> None:
    """``arrays`` by the JSON pointer each has in the body. Raises TimeZoneRequired."""
    pointers: list[str] = []
    records = ((f"{pointer}/{index}", raw) for pointer, raws in arrays.items() for index, raw in enumerate(raws))
    for place, raw in records:
        if is_bomb(raw):
            continue  # it will be rejected for that
        pointers += [f"{place}/{name}" for name in naive_fields(raw)]
        if len(pointers) >= MAX_ERRORS:
            break
    if pointers:
        raise _time_zone_required(pointers)


def _are_all(record: type[msgspec.Struct], raws: list[msgspec.Raw]) -> bool:
    """Whether each of these can be read as such a record, and is small enough to be."""
    decode = _record_decoder(record).decode
    try:
        for raw in raws:
            if len(raw) > MAX_RECORD_VALUES:
                return False
            decode(raw)
    except UNREADABLE:
        return False
    return True


@lru_cache(maxsize=16)
def _record_decoder(record: type[msgspec.Struct]) -> msgspec.json.Decoder[msgspec.Struct]:
    return msgspec.json.Decoder(record)


def _time_zone_required(pointers: Iterable[str]) -> TimeZoneRequired:
    detail = reasons()["naive_date"]
    return TimeZoneRequired(
        "Dates without a UTC offset cannot be placed in time: send time_zone with an IANA name such as"
        " Europe/Berlin, or dates with an offset.",
        errors=tuple(
            FieldError(pointer=pointer, code="naive_date", detail=detail) for pointer in islice(pointers, MAX_ERRORS)
        ),
    )


def printable(names: Iterable[str]) -> list[str]:
    """Names a client made up, short and harmless enough to be stored and shown."""
    return [name[:64] if name.isprintable() else "(unprintable)" for name in islice(names, MAX_WARNINGS)]
