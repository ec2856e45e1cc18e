"""From what a dialect wrote to a Statistic: what the phone has already aggregated, or knows once per day or person."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from django_healthkit_ingest.core.catalogue import load
from django_healthkit_ingest.core.identity import content_digest, rank, source_key
from django_healthkit_ingest.core.json_text import JsonObject, read_object
from django_healthkit_ingest.core.normalise import (
    MAX_DETAILS_BYTES,
    MAX_TEXT_LENGTH,
    as_sent,
    check_identifier,
    check_text,
    read_zone,
    reading_version,
    to_unit,
)
from django_healthkit_ingest.core.registry import SampleKind, SampleType, SampleTypeRegistry
from django_healthkit_ingest.core.rejections import rejection
from django_healthkit_ingest.core.samples import Source, Statistic
from django_healthkit_ingest.core.timestamps import Interval, find_zone, microseconds, read_interval
from django_healthkit_ingest.exceptions import RecordRejected

WHOLE = "whole"
AGGREGATIONS = frozenset({"sum", "average", "minimum", "maximum", "most_recent", "duration", "count", WHOLE})
ONCE = frozenset({SampleKind.ACTIVITY_SUMMARY, SampleKind.CHARACTERISTIC})
"""Kinds of which there is one per day or person: their records are statistics in whatever section they come."""
NO_START = datetime(1970, 1, 1, tzinfo=UTC)
"""Of a characteristic whose dialect does not say when it was read."""

_OWN_UNITS = {"duration": "s", "count": "count"}
_GROWING = frozenset({"sum", "maximum", "count", "duration"})
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class StatisticDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A statistic in no dialect: names and units are HealthKit's, nothing is checked yet but JSON types."""

    type: str
    aggregation: str
    start: str | datetime
    """Of an activity summary also a mere date, which needs no zone."""
    end: str | datetime | None = None
    time_zone: str | None = None
    value: float | None = None
    unit: str | None = None
    source: Source | None = None
    bucket: str = ""
    """What else tells this statistic from others of its period, where a dialect has several (a meal's time)."""
    record: bytes | msgspec.Raw = b""
    """Kept in ``details`` when the aggregation is ``whole`` or the type is unknown."""


def normalise_statistic(
    draft: StatisticDraft, *, registry: SampleTypeRegistry, fidelity: int, declared_zone: ZoneInfo | None
) -> Statistic:
    """Raises RecordRejected; its ``field`` is one of the draft's, or empty for the record.

    A quantity's value is converted to its type's canonical unit, a duration to ``s``; a count needs no unit. A
    category's sums and averages, and all of unknown types, keep the unit they were sent in.
    """
    if draft.aggregation not in AGGREGATIONS:
        raise rejection("value_unknown", field="aggregation")
    check_text(draft.bucket, field="bucket", max_length=MAX_TEXT_LENGTH)
    sample_type = registry.get(draft.type)
    if sample_type is None:
        check_identifier(draft.type)
    identifier = draft.type if sample_type is None else sample_type.identifier
    kind = None if sample_type is None else sample_type.kind
    interval, day = _period(draft, kind=kind, declared_zone=declared_zone)
    end = interval.end if draft.end is not None else None
    value, unit = _value(draft, sample_type)
    whole = _whole(draft, known=sample_type is not None)
    source = str(source_key(draft.source)) if draft.source is not None else ""
    return Statistic(
        identifier=identifier,
        known=sample_type is not None,
        aggregation=draft.aggregation,
        bucket=draft.bucket,
        start=interval.start,
        end=end,
        time_zone=interval.time_zone,
        zone_basis=interval.zone_basis,
        value=value,
        unit=unit,
        source=draft.source,
        key=_key(draft, identifier=identifier, kind=kind, start=interval.start, end=end, day=day, source=source),
        preference=_preference(draft, kind=kind, value=value, start=interval.start, whole=whole),
        rank=rank(
            fidelity=fidelity,
            normaliser_version=reading_version(known=sample_type is not None),
            content_digest=content_digest(
                identifier,
                draft.aggregation,
                interval.start_us,
                microseconds(end) if end is not None else "",
                interval.time_zone,
                interval.zone_basis,
                value,
                unit,
                source,
                draft.bucket,
                whole.digest if whole is not None else "",
            ),
        ),
        details=whole.text if whole is not None else None,
    )


def is_kept_once(identifier: str, registry: SampleTypeRegistry) -> bool:
    """Whether records of the type are statistics and never samples: activity summaries and characteristics."""
    sample_type = registry.get(identifier)
    return sample_type is not None and sample_type.kind in ONCE


def _period(
    draft: StatisticDraft, *, kind: SampleKind | None, declared_zone: ZoneInfo | None
) -> tuple[Interval, date | None]:
    """The period, and of an activity summary its civil day: the one the person saw on the phone.

    A start in UTC names no zone, so its day is the one in the declared zone, or else in UTC.
    """
    own_zone = read_zone(draft.time_zone) if draft.time_zone is not None else None
    start = draft.start
    if kind is SampleKind.ACTIVITY_SUMMARY and isinstance(start, str) and _DAY.fullmatch(start):
        start += "T00:00:00" if own_zone or declared_zone else "T00:00:00Z"
    interval = read_interval(start, draft.end, own_zone=own_zone, declared_zone=declared_zone)
    if kind is not SampleKind.ACTIVITY_SUMMARY:
        return interval, None
    offset = interval.time_zone
    if offset[:1] in ("+", "-"):
        return interval, interval.start.astimezone(datetime.strptime(offset, "%z").tzinfo).date()
    zone = find_zone(offset) if offset else declared_zone
    return interval, interval.start.astimezone(zone or UTC).date()


def _value(draft: StatisticDraft, sample_type: SampleType | None) -> tuple[float | None, str]:
    """The value and its unit, which is empty where the value is in the type's canonical one."""
    if draft.aggregation == WHOLE:
        return as_sent(draft.value, draft.unit)
    if own_unit := _OWN_UNITS.get(draft.aggregation):
        sent = own_unit if draft.unit is None and draft.aggregation == "count" else draft.unit
        return to_unit(draft.value, sent, own_unit), own_unit
    if sample_type is not None and sample_type.canonical_unit:
        return to_unit(draft.value, draft.unit, sample_type.canonical_unit), ""
    if sample_type is not None and draft.value is None:
        raise rejection("missing_field", field="value")
    if sample_type is not None and draft.unit is None:
        raise rejection("missing_unit", field="unit")
    return as_sent(draft.value, draft.unit)


def _whole(draft: StatisticDraft, *, known: bool) -> JsonObject | None:
    record = bytes(draft.record)
    if not record or (known and draft.aggregation != WHOLE):
        return None
    return read_object(record, field="", max_bytes=MAX_DETAILS_BYTES)


def _key(
    draft: StatisticDraft,
    *,
    identifier: str,
    kind: SampleKind | None,
    start: datetime,
    end: datetime | None,
    day: date | None,
    source: str,
) -> UUID:
    """BLAKE2b-128 of ``hkstat1|identifier|aggregation|start|end|bucket|source``, instants as Unix microseconds.

    Whole, an activity summary is known by its civil day and a characteristic by its type alone, whoever sends them.
    """
    parts: tuple[object, ...]
    if draft.aggregation == WHOLE and kind in ONCE:
        parts = (identifier, WHOLE, day or "", "", "", "")
    else:
        parts = (
            identifier,
            draft.aggregation,
            microseconds(start),
            microseconds(end) if end is not None else "",
            draft.bucket,
            source,
        )
    return UUID(bytes=blake2b("|".join(map(str, ("hkstat1", *parts))).encode(), digest_size=16).digest())


def _preference(
    draft: StatisticDraft, *, kind: SampleKind | None, value: float | None, start: datetime, whole: JsonObject | None
) -> float:
    if draft.aggregation == WHOLE:
        if kind is SampleKind.CHARACTERISTIC:
            return start.timestamp()
        found = _active_energy(whole.members) if whole is not None and kind is SampleKind.ACTIVITY_SUMMARY else None
        return found or 0.0
    if draft.aggregation in _GROWING:
        return value or 0.0
    return -value if draft.aggregation == "minimum" and value else 0.0


def _active_energy(members: dict[str, Any]) -> float | None:
    """In kcal: what the day's rings grow with. None where the summary does not say it in a known way."""
    labels = _labels()
    for names in labels.active_energy:
        sent: Any = members.get(names["value"])
        unit = members.get(names["unit"])
        if isinstance(sent, dict):
            sent, unit = sent.get("quantity", sent.get("value")), sent.get("unit", unit)
        try:
            number = float(sent) if isinstance(sent, int | float | str) and not isinstance(sent, bool) else None
            return to_unit(number, unit if isinstance(unit, str) else labels.canonical_unit, labels.canonical_unit)
        except (ValueError, OverflowError, RecordRejected):
            continue  # whatever it is, the record is kept whole; it only wins over nothing
    return None


class _Labels(msgspec.Struct, frozen=True):
    active_energy: list[dict[str, str]]
    canonical_unit: str


@lru_cache(maxsize=1)
def _labels() -> _Labels:
    return msgspec.convert(load("activity_summary.json"), _Labels)
