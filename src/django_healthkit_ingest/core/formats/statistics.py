"""Statistics as every envelope of this package carries them, whatever dialect its samples are in.

One element has one aggregation and its value, or, like HKStatistics, several aggregations by their names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from django_healthkit_ingest.core.formats.records import NULL, Remembered, read_fields, read_source
from django_healthkit_ingest.core.json_text import UNREADABLE
from django_healthkit_ingest.core.registry import SampleKind, SampleTypeRegistry
from django_healthkit_ingest.core.rejections import rejection
from django_healthkit_ingest.core.samples import Statistics
from django_healthkit_ingest.core.statistics import (
    NO_START,
    WHOLE,
    StatisticDraft,
    is_kept_once,
    normalise_statistic,
)
from django_healthkit_ingest.exceptions import RecordRejected


class _WireStatistic(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    type: str
    aggregation: str | None = None
    start: str | None = None
    end: str | None = None
    date: str | None = None
    """Of an activity summary: its civil day."""
    time_zone: str | None = None
    value: float | None = None
    category: float | None = None
    unit: str | None = None
    sum: float | None = None
    average: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    most_recent: float | None = None
    duration: float | None = None
    count: float | None = None
    source: msgspec.Raw = NULL
    device: msgspec.Raw = NULL


_STATISTIC = msgspec.json.Decoder(_WireStatistic)
_BY_NAME = ("sum", "average", "minimum", "maximum", "most_recent", "duration", "count")
"""Aggregations that may be members of their own; all but the last two are in the element's unit."""
_OWN_UNITS = {"duration": "s", "count": "count"}
_LOOSE = ("value", "category", "unit", "date", *_BY_NAME)


def statistic_reader(
    *, registry: SampleTypeRegistry, fidelity: int, declared_zone: ZoneInfo | None
) -> Callable[[int, msgspec.Raw], Statistics]:
    """What reads one element; it raises RecordRejected with the element's field."""
    sources = Remembered(read_source)

    def read_statistic(index: int, raw: msgspec.Raw) -> Statistics:
        wire = _read_wire(raw, registry=registry)
        source = sources[bytes(wire.source), bytes(wire.device)]
        start, place = _start(wire, registry=registry)
        statistics = []
        for aggregation, value, unit, member in _aggregations(wire, registry=registry):
            draft = StatisticDraft(
                type=wire.type,
                aggregation=aggregation,
                start=start,
                end=wire.end,
                time_zone=wire.time_zone,
                value=value,
                unit=unit,
                source=source,
                record=raw,
            )
            try:
                statistics.append(
                    normalise_statistic(draft, registry=registry, fidelity=fidelity, declared_zone=declared_zone)
                )
            except RecordRejected as error:
                field = {"value": member, "start": place}.get(error.field, error.field)
                raise rejection(error.reason, field=field) from None
        return Statistics(index=index, values=tuple(statistics))

    return read_statistic


def _read_wire(raw: msgspec.Raw, *, registry: SampleTypeRegistry) -> _WireStatistic:
    try:
        return _STATISTIC.decode(raw)
    except UNREADABLE:
        values, faults = read_fields(raw, _WireStatistic)
    if is_kept_once(values.get("type", ""), registry):
        for name in _LOOSE:  # what these hold in a structure of its own is the structure's affair
            faults.pop(name, None)
    for fault in faults.values():
        raise fault
    return _WireStatistic(**values)


def _start(wire: _WireStatistic, *, registry: SampleTypeRegistry) -> tuple[str | datetime, str]:
    """The start, and the member that says it."""
    if wire.start is not None:
        return wire.start, "start"
    sample_type = registry.get(wire.type)
    kind = sample_type.kind if sample_type is not None else None
    if kind is SampleKind.CHARACTERISTIC:
        return NO_START, "start"
    if kind is SampleKind.ACTIVITY_SUMMARY and wire.date is not None:
        return wire.date, "date"
    raise rejection("missing_field", field="start")


def _aggregations(
    wire: _WireStatistic, *, registry: SampleTypeRegistry
) -> Iterator[tuple[str, float | None, str | None, str]]:
    """Aggregation, value, unit, and the member the value is in."""
    if wire.aggregation is not None:
        yield wire.aggregation, wire.value, wire.unit, "value"
        return
    if is_kept_once(wire.type, registry):
        yield WHOLE, wire.category if wire.value is None else wire.value, wire.unit, "value"
        return
    sent = [name for name in _BY_NAME if getattr(wire, name) is not None]
    if not sent:
        raise rejection("missing_field", field="aggregation")
    for name in sent:
        yield name, getattr(wire, name), _OWN_UNITS.get(name, wire.unit), name
