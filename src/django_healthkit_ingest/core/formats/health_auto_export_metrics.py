"""Points of Health Auto Export's metrics: statistics, since most are aggregates of a second, a minute or a day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from zoneinfo import ZoneInfo

import msgspec

from django_healthkit_ingest.core.formats.health_auto_export_dates import is_day, offset_of, read_date
from django_healthkit_ingest.core.formats.health_auto_export_fields import (
    Members,
    first_text,
    read_number,
    read_source,
    read_text,
)
from django_healthkit_ingest.core.formats.health_auto_export_labels import Metric, Reading, find_metric, labels
from django_healthkit_ingest.core.formats.records import NULL, read_fields, read_members
from django_healthkit_ingest.core.json_text import UNREADABLE
from django_healthkit_ingest.core.registry import SampleTypeRegistry
from django_healthkit_ingest.core.rejections import rejection
from django_healthkit_ingest.core.samples import Statistic, Statistics
from django_healthkit_ingest.core.statistics import WHOLE, StatisticDraft, normalise_statistic
from django_healthkit_ingest.exceptions import RecordRejected

STARTS = ("date", "startDate", "start")
ENDS = ("endDate", "end")
SLEEP_DATES = ("sleepStart", "inBedStart", "sleepEnd", "inBedEnd")
"""Full dates of a point whose own date may be a mere day."""

_NO_POINT = msgspec.Raw(b"")


class MetricPoint(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A point as ``split`` hands it on, with its metric's name and units."""

    name: str | None = None
    units: str | None = None
    point: msgspec.Raw = _NO_POINT
    data: msgspec.Raw = _NO_POINT
    """Only of a metric that could not be taken apart."""


_POINT = msgspec.json.Decoder(MetricPoint)


def read_statistics(
    index: int, raw: msgspec.Raw, *, registry: SampleTypeRegistry, fidelity: int, declared_zone: ZoneInfo | None
) -> Statistics:
    """Raises RecordRejected; its field is a member of the point, or ``name``, ``units`` or ``data`` of the metric."""
    sent = _read_point(raw)
    members = read_members(sent.point, field="")
    metric = find_metric(sent.name or "")
    drafts = _known(metric, sent, members, registry=registry) if metric is not None else _unknown(sent, members)
    values: list[Statistic] = []
    for draft, member in drafts:
        try:
            found = normalise_statistic(draft, registry=registry, fidelity=fidelity, declared_zone=declared_zone)
        except RecordRejected as error:
            field = metric.label if metric is not None and error.field == "bucket" else error.field
            raise rejection(error.reason, field=_place(field, member, members)) from None
        if metric is not None and draft.aggregation == WHOLE:
            found = _preferred(found, numbers=values)
        values.append(found)
    return Statistics(index=index, values=tuple(values))


def _read_point(raw: msgspec.Raw) -> MetricPoint:
    try:
        sent = _POINT.decode(raw)
    except UNREADABLE:
        values, faults = read_fields(raw, MetricPoint)
        for fault in faults.values():
            raise fault from None
        sent = MetricPoint(**values)
    if not bytes(sent.point):
        if bytes(sent.data)[:1] == b"[":
            raise rejection("too_long", field="name")
        raise rejection("wrong_type", field="data") if bytes(sent.data) else rejection("malformed_record")
    if not sent.name:
        raise rejection("missing_field", field="name")
    if not sent.name.isprintable():
        raise rejection("control_character", field="name")
    return sent


def _known(
    metric: Metric, sent: MetricPoint, members: Members, *, registry: SampleTypeRegistry
) -> Iterator[tuple[StatisticDraft, str]]:
    """Each draft, and the member its value is from."""
    readings = metric.readings or labels().readings
    found = [(each, value) for each in readings if (value := read_number(members, each.member)) is not None]
    if not found:
        raise rejection("missing_field", field=readings[0].member)
    unit, divisor = _unit(metric, sent.units)
    text = read_text(members, metric.label) if metric.label else ""
    taken = set()
    for reading, value in found:
        identifier = reading.type or metric.type
        aggregation = _aggregation(reading, identifier, unit=unit, registry=registry)
        if (identifier, aggregation, reading.says) in taken:  # an average in both qty and Avg
            continue
        taken.add((identifier, aggregation, reading.says))
        draft = StatisticDraft(
            type=identifier,
            aggregation=aggregation,
            start=_start(members, reading),
            end=_end(members),
            value=value / divisor,
            unit=unit,
            source=read_source(members, reading.source if reading.source in members else "source"),
            bucket=reading.says or text,
        )
        yield draft, reading.member
    if metric.whole:
        member = readings[0].member
        start = _start(members, readings[0])
        source = read_source(members)
        yield StatisticDraft(type=metric.type, aggregation=WHOLE, start=start, source=source, record=sent.point), member


def _unknown(sent: MetricPoint, members: Members) -> Iterator[tuple[StatisticDraft, str]]:
    qty = Reading(member="qty")
    is_number = bytes(members.get(qty.member, NULL))[0] in b"-0123456789"
    draft = StatisticDraft(
        type=f"{labels().own_types}{sent.name}",
        aggregation=WHOLE,
        start=_start(members, qty),
        end=_end(members),
        value=read_number(members, qty.member) if is_number else None,
        unit=sent.units,
        source=read_source(members),
        record=sent.point,
    )
    yield draft, qty.member


def _start(members: Members, reading: Reading) -> str:
    """A night is known by its day if the point has one, for its beginning still moves while the watch is syncing."""
    _, text = first_text(members, STARTS)
    date = read_date(text)
    if reading.start and not is_day(date):
        _, begin = first_text(members, (reading.start, *SLEEP_DATES))
        date = read_date(begin) or date
    if not date:
        raise rejection("missing_field", field=STARTS[0])
    if is_day(date) and not offset_of(date):
        date += next((offset for name in SLEEP_DATES if (offset := offset_of(read_date(read_text(members, name))))), "")
    return date


def _end(members: Members) -> str | None:
    _, text = first_text(members, ENDS)
    return read_date(text) or None


def _unit(metric: Metric, sent: str | None) -> tuple[str | None, float]:
    """The HKUnit, and what to divide a number by that is in it."""
    if metric.unit is not None or sent is None:
        return metric.unit, 1.0
    unit = metric.units.get(sent) or labels().units.get(sent, sent)
    return unit, labels().percent if unit == "%" else 1.0


def _aggregation(reading: Reading, identifier: str, *, unit: str | None, registry: SampleTypeRegistry) -> str:
    if reading.aggregation:
        is_counted = reading.aggregation == "duration" and unit in labels().counted_in
        return "count" if is_counted else reading.aggregation
    sample_type = registry.get(identifier)
    return "sum" if sample_type is not None and sample_type.aggregation == "cumulative" else "average"


def _preferred(whole: Statistic, *, numbers: Sequence[Statistic]) -> Statistic:
    """The point that tells of more time is the later one."""
    return msgspec.structs.replace(whole, preference=sum(each.value or 0.0 for each in numbers))


def _place(field: str, member: str, members: Members) -> str:
    start, _ = first_text(members, STARTS)
    end, _ = first_text(members, ENDS)
    places = {"type": "name", "unit": "units", "value": member, "start": start or STARTS[0], "end": end or ENDS[0]}
    return places.get(field, field)
