"""How much one body may hold, found out before it is taken apart.

A record that is still raw costs its reader 72 bytes, however short it is, and a key of an object twice as much: 100 MB
of ``0,`` would take 3.6 GB.
"""

from __future__ import annotations

import msgspec

from django_healthkit_ingest.core.formats.body import guarded, without_mark
from django_healthkit_ingest.exceptions import BodyTooLarge

MAX_RECORDS = 500_000
"""Of one body."""
MAX_RECORD_VALUES = 2**21
"""Commas of one record; its series, if it has one, included."""

_FREE_BYTES = 4 * 2**20
"""A body of this size is not looked at: whatever it holds takes no more than a large one's bytes."""
_FREE_VALUES = 2**20
_OBJECTS_PER_RECORD = 8

_ARRAYS = (
    *("samples", "deletions", "statistics"),
    *("workouts", "correlations", "clinicalRecords", "records", "deletedSamples", "deletedRecords", "sleep"),
    *("stateOfMind", "medications", "symptoms", "cycleTracking", "ecg"),
)
"""What formats of ours call their large members. ``data`` has some inside; each of ``metrics`` has its points."""


class _Skipped(msgspec.Struct, frozen=True, gc=False):
    """An object, whatever its members are."""


class _Metric(msgspec.Struct, frozen=True):
    data: msgspec.Raw = msgspec.Raw()


_MEMBERS = msgspec.json.Decoder(
    msgspec.defstruct("_Members", [(name, msgspec.Raw, msgspec.Raw()) for name in ("data", "metrics", *_ARRAYS)])
)
_METRICS = msgspec.json.Decoder(list[_Metric])
_RECORDS = msgspec.json.Decoder(list[_Skipped])


def check_bulk(body: bytes) -> None:
    """Raises BodyTooLarge for JSON that would take far more memory than its bytes, and MalformedBody for what is none
    though it begins so. Costs nothing for a body of usual size, and takes little memory itself.

    More than a million values are taken only as arrays of objects where our formats have them.
    """
    if len(body) <= _FREE_BYTES or body.count(b",") <= _FREE_VALUES:
        return
    text = without_mark(body)
    if not _opens_with(text, b"[{"):
        return
    if text.count(b"{") > _OBJECTS_PER_RECORD * MAX_RECORDS:
        raise _too_many()
    try:
        _check(text)
    except msgspec.ValidationError:
        raise _too_many() from None


def check_count(records: int) -> None:
    """Raises BodyTooLarge."""
    if records > MAX_RECORDS:
        raise BodyTooLarge(f"The body has more than {MAX_RECORDS} records. Send fewer records in one request.")


def is_bomb(record: msgspec.Raw) -> bool:
    """Whether this record has more values than are read; free of cost for one of usual size."""
    return len(record) > 2 * MAX_RECORD_VALUES and bytes(record).count(b",") > MAX_RECORD_VALUES


def _check(text: bytes | msgspec.Raw) -> None:
    """Raises BodyTooLarge, ValidationError."""
    if _opens_with(text, b"["):
        check_count(len(guarded(_RECORDS.decode, text)))
        return
    members = msgspec.structs.asdict(guarded(_MEMBERS.decode, text))
    if len(text) - sum(map(len, members.values())) > _FREE_BYTES:
        raise _too_many()
    for name, member in members.items():
        if name == "metrics" and _opens_with(member, b"["):
            for metric in guarded(_METRICS.decode, member):
                _check_member(metric.data)
        else:
            _check_member(member)


def _check_member(member: msgspec.Raw) -> None:
    """Whatever has no members is its format's to refuse."""
    if _opens_with(member, b"[{"):
        _check(member)


def _opens_with(text: bytes | msgspec.Raw, brackets: bytes) -> bool:
    first = bytes(memoryview(text)[:64]).lstrip() or bytes(text).lstrip()
    return first[:1] in brackets if first else False


def _too_many() -> BodyTooLarge:
    return BodyTooLarge("The body has too many values to be taken apart at once. Send fewer records in one request.")
