"""The outer shape of what Health Auto Export sends, taken apart into records that stay raw."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from django_healthkit_ingest.core.formats.body import guarded
from django_healthkit_ingest.core.formats.bounds import check_count
from django_healthkit_ingest.core.formats.envelope import printable
from django_healthkit_ingest.core.formats.faults import envelope_fault, invalid_envelope
from django_healthkit_ingest.core.formats.records import NULL, read_members
from django_healthkit_ingest.core.formats.repeats import find_repeats
from django_healthkit_ingest.core.json_text import UNREADABLE
from django_healthkit_ingest.exceptions import InvalidEnvelope, RecordRejected

METRICS = "metrics"
SLEEP = "sleep_analysis"
_SLEEP_NAME = msgspec.json.encode(SLEEP)
ARRAYS = (
    "workouts",
    "stateOfMind",
    "medications",
    "symptoms",
    "cycleTracking",
    "ecg",
    "heartRateNotifications",
)
"""In the order in which their elements are counted."""

MAX_KIND_LENGTH = 64
MAX_METRIC_BYTES = 256
"""Of a metric's name and unit, which are repeated with each of its points."""

_ANY = msgspec.json.Decoder(msgspec.Raw)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT = msgspec.json.Decoder(str | None)


class _Metric(msgspec.Struct, frozen=True, gc=False):
    name: msgspec.Raw = NULL
    units: msgspec.Raw = NULL
    data: msgspec.Raw = NULL


class _Stage(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    start_date: msgspec.Raw = NULL


_METRIC = msgspec.json.Decoder(_Metric)
_STAGE = msgspec.json.Decoder(_Stage)


class Batch(msgspec.Struct, kw_only=True):
    """A body's records, each with the name it needs to be read without its neighbours."""

    format: str | None = None
    points: list[msgspec.Raw] = []
    stages: list[msgspec.Raw] = []
    """Points of sleep that are samples."""
    others: list[msgspec.Raw] = []
    arrays: dict[str, list[msgspec.Raw]] = {}
    """All of them as they were sent, by JSON pointer."""
    warnings: tuple[str, ...] = ()


def read_body(text: bytes) -> Batch:
    """Raises MalformedBody, InvalidEnvelope, BodyTooLarge."""
    raw = guarded(_ANY.decode, text)
    try:
        members = read_members(raw, field="")
        data = read_members(members.get("data", NULL), field="data")
    except RecordRejected:
        raise InvalidEnvelope("the body must be a JSON object with an object 'data'") from None
    batch = Batch()
    repeated = find_repeats(raw, known={"data", "format", METRICS, *ARRAYS}, inside=("data",))
    errors = [envelope_fault(pointer, "duplicate_key") for pointer in repeated]
    try:
        batch.format = _TEXT.decode(members.get("format", NULL))
    except UNREADABLE:
        errors.append(envelope_fault("/format", "wrong_type"))
    for name in (METRICS, *ARRAYS):
        array = bytes(data.get(name, NULL))
        if array[:1] == b"[":
            _take(batch, name, _ARRAY.decode(array))
        elif array != b"null":
            errors.append(envelope_fault(f"/data/{name}", "wrong_type"))
    if errors:
        raise invalid_envelope(errors)
    ignored = [name for name in members if name not in ("data", "format")]
    for name in data:
        if name in (METRICS, *ARRAYS):
            continue
        raws = _objects(data[name])
        if raws and name.isprintable() and 0 < len(name) <= MAX_KIND_LENGTH:
            _take(batch, name, raws)
        else:
            ignored.append(f"data.{name}")
    batch.warnings = tuple(printable(ignored))
    return batch


def is_one(data: bytes | msgspec.Raw) -> bool:
    """Whether this is what such a body has in ``data``. Never raises."""
    try:
        names = read_members(data, field="").keys()
    except RecordRejected:
        return False
    return not names or not names.isdisjoint({METRICS, *ARRAYS})


def _take(batch: Batch, name: str, raws: list[msgspec.Raw]) -> None:
    if name == METRICS:
        for index, raw in enumerate(raws):
            _take_metric(batch, f"/data/{METRICS}/{index}", raw)
        return
    check_count(len(batch.others) + len(raws))
    batch.arrays[f"/data/{name}"] = raws
    batch.others += _wrapped(_head(name), raws)


def _take_metric(batch: Batch, pointer: str, raw: msgspec.Raw) -> None:
    """Its points; a metric that has none to be taken from is one record, to be refused as such."""
    try:
        metric = _METRIC.decode(raw)
        points = [] if bytes(metric.data) == b"null" else _ARRAY.decode(metric.data)
    except UNREADABLE:
        batch.points.append(raw)
        return
    check_count(len(batch.points) + len(batch.stages) + len(points))
    name, units = bytes(metric.name), bytes(metric.units)
    if points and len(name) + len(units) > MAX_METRIC_BYTES:
        batch.points.append(raw)
        return
    batch.arrays[f"{pointer}/data"] = points
    if name == _SLEEP_NAME:
        stages = [point for point in points if _is_stage(point)]
        points = [point for point in points if not _is_stage(point)]
        batch.stages += _wrapped(_head(SLEEP), stages)
    batch.points += _wrapped(b'{"name":%b,"units":%b,"point":' % (name, units), points)


def _head(kind: str) -> bytes:
    return b'{"kind":%b,"record":' % msgspec.json.encode(kind)


def _wrapped(head: bytes, raws: Iterable[msgspec.Raw]) -> list[msgspec.Raw]:
    return [msgspec.Raw(b"%b%b}" % (head, bytes(raw))) for raw in raws]


def _is_stage(point: msgspec.Raw) -> bool:
    try:
        return bytes(_STAGE.decode(point).start_date) != b"null"
    except UNREADABLE:
        return False


def _objects(array: msgspec.Raw) -> list[msgspec.Raw]:
    """The elements of an array of objects; none of anything else."""
    if bytes(array)[:1] != b"[":
        return []
    raws = _ARRAY.decode(array)
    return raws if all(bytes(raw)[:1] == b"{" for raw in raws) else []
