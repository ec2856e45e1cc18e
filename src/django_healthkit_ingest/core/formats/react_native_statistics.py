"""What the React Native library's statistics queries answer: one object, several aggregations of one period.

The answer does not name its quantity type (``QueryStatisticsResponse`` in
github.com/kingstinct/react-native-healthkit), so the app has to add ``quantityType``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from django_healthkit_ingest.core.catalogue import load
from django_healthkit_ingest.core.formats.records import NULL, keys, read_fields, read_members, read_texts, renamed
from django_healthkit_ingest.core.json_text import UNREADABLE
from django_healthkit_ingest.core.normalise import check_source
from django_healthkit_ingest.core.registry import SampleTypeRegistry
from django_healthkit_ingest.core.rejections import rejection
from django_healthkit_ingest.core.samples import Source, Statistic, Statistics
from django_healthkit_ingest.core.statistics import StatisticDraft, normalise_statistic
from django_healthkit_ingest.exceptions import RecordRejected


class _WireResult(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    start_date: str
    end_date: str | None = None
    quantity_type: str | None = None
    source: msgspec.Raw = NULL
    """Of results separated by source. ``sources`` only lists who is in the sum, and is no recorder."""


class _Quantity(msgspec.Struct, frozen=True, gc=False):
    quantity: float
    unit: str | None = None


class _Labels(msgspec.Struct, frozen=True):
    statistics: dict[str, str]
    source: dict[str, str]


_FIELDS = {"type": "quantityType", "start": "startDate", "end": "endDate"}


def is_result(raw: msgspec.Raw) -> bool:
    """Never raises."""
    return not _labels().statistics.keys().isdisjoint(keys(raw)) and "aggregation" not in keys(raw)


def read_result(
    index: int, raw: msgspec.Raw, *, registry: SampleTypeRegistry, fidelity: int, declared_zone: ZoneInfo | None
) -> Statistics:
    """Raises RecordRejected with the result's field."""
    values, faults = read_fields(raw, _WireResult)
    for fault in faults.values():
        raise fault
    wire = _WireResult(**values)
    if wire.quantity_type is None:
        raise rejection("missing_field", field="quantityType")
    source = _read_source(wire.source)
    statistics: list[Statistic] = []
    for member, aggregation, sent in _quantities(raw):
        draft = StatisticDraft(
            type=wire.quantity_type,
            aggregation=aggregation,
            start=wire.start_date,
            end=wire.end_date,
            value=sent.quantity,
            unit=sent.unit,
            source=source,
            record=raw,
        )
        try:
            statistics.append(
                normalise_statistic(draft, registry=registry, fidelity=fidelity, declared_zone=declared_zone)
            )
        except RecordRejected as error:
            names = {"value": f"{member}.quantity", "unit": f"{member}.unit", **_FIELDS}
            raise renamed(error, names) from None
    if not statistics:
        raise rejection("missing_field", field=next(iter(_labels().statistics)))
    return Statistics(index=index, values=tuple(statistics))


def _quantities(raw: msgspec.Raw) -> Iterator[tuple[str, str, _Quantity]]:
    """Member, aggregation and quantity."""
    members = read_members(raw, field="")
    for member, aggregation in _labels().statistics.items():
        sent = members.get(member, NULL)
        if sent == NULL:
            continue
        try:
            yield member, aggregation, msgspec.json.decode(sent, type=_Quantity)
        except UNREADABLE:
            read_members(sent, field=member)
            _, faults = read_fields(sent, _Quantity)
            for fault in faults.values():
                raise rejection(fault.reason, field=f"{member}.{fault.field}") from None


def _read_source(raw: msgspec.Raw) -> Source | None:
    labels = _labels().source
    texts: dict[str, Any] = {labels[key]: text for key, text in read_texts(raw, tuple(labels), field="source").items()}
    try:
        return check_source(Source(**texts))
    except RecordRejected as error:
        raise renamed(error, {f"source.{ours}": f"source.{key}" for key, ours in labels.items()}) from None


@lru_cache(maxsize=1)
def _labels() -> _Labels:
    return msgspec.convert(load("react_native_healthkit.json"), _Labels)
