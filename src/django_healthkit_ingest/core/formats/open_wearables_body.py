"""The outer shape of what the open-wearables SDKs send; the elements of its three arrays stay raw."""

from __future__ import annotations

import msgspec

from django_healthkit_ingest.core.formats.body import guarded
from django_healthkit_ingest.core.formats.envelope import printable
from django_healthkit_ingest.core.formats.faults import envelope_fault, invalid_envelope
from django_healthkit_ingest.core.formats.records import NULL, keys, read_fields, read_members
from django_healthkit_ingest.core.formats.repeats import find_repeats, is_all
from django_healthkit_ingest.exceptions import InvalidEnvelope, RecordRejected


class Arrays(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    records: list[msgspec.Raw] | None = None
    sleep: list[msgspec.Raw] | None = None
    workouts: list[msgspec.Raw] | None = None

    def by_pointer(self) -> dict[str, list[msgspec.Raw]]:
        return {f"/data/{name}": getattr(self, name) or [] for name in self.__struct_fields__}


class SyncBody(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    provider: str
    data: Arrays
    format: str | None = None
    sdk_version: str | None = None
    sync_timestamp: msgspec.Raw = NULL


class _OuterBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    provider: str
    data: msgspec.Raw
    format: str | None = None
    sdk_version: str | None = None
    sync_timestamp: msgspec.Raw = NULL


_ANY = msgspec.json.Decoder(msgspec.Raw)
_BODY = msgspec.json.Decoder(SyncBody)


def read_body(text: bytes) -> tuple[SyncBody, tuple[str, ...]]:
    """The body, and the names of the keys that are ignored.

    Raises MalformedBody, InvalidEnvelope.
    """
    read, unknown = _read(text)
    if is_all(text, read):
        return read, unknown
    known = {*SyncBody.__struct_encode_fields__, *Arrays.__struct_fields__}
    if repeated := find_repeats(text, known=known, inside=("data",)):
        raise invalid_envelope([envelope_fault(pointer, "duplicate_key") for pointer in repeated])
    return read, unknown


def _read(text: bytes) -> tuple[SyncBody, tuple[str, ...]]:
    """One pass, if all is well."""
    try:
        return guarded(_BODY.decode, text), ()
    except msgspec.ValidationError:
        raw = guarded(_ANY.decode, text)
    try:
        values, faults = read_fields(raw, _OuterBody)
        members = read_members(raw, field="")
    except RecordRejected:
        raise InvalidEnvelope("the body must be a JSON object with the keys 'provider' and 'data'") from None
    found = [(f"/{fault.field}", fault.reason) for fault in faults.values()]
    arrays, array_faults = _read_arrays(values.get("data", msgspec.Raw(b"{}")))
    found += [(f"/data{f'/{fault.field}' if fault.field else ''}", fault.reason) for fault in array_faults]
    if found:
        codes = ((pointer, "missing_field" if reason == "missing_field" else "wrong_type") for pointer, reason in found)
        raise invalid_envelope([envelope_fault(pointer, code) for pointer, code in codes])
    unknown = [name for name in members if name not in SyncBody.__struct_encode_fields__]
    unknown += sorted(f"data.{name}" for name in keys(values["data"]) - set(Arrays.__struct_fields__))
    return SyncBody(**{**values, "data": arrays}), tuple(printable(unknown))


def _read_arrays(raw: msgspec.Raw) -> tuple[Arrays, list[RecordRejected]]:
    try:
        values, faults = read_fields(raw, Arrays)
    except RecordRejected as error:
        return Arrays(), [error]
    return Arrays(**values), list(faults.values())
