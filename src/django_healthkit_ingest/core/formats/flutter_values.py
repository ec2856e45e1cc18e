"""What the value of a Flutter point means in HealthKit's terms, by its ``__type`` and the point's type.

The names are data: ``catalogue/flutter_types.json``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, TypeVar

import msgspec

from django_healthkit_ingest.core.catalogue import load
from django_healthkit_ingest.core.formats.records import read_fields, read_members
from django_healthkit_ingest.core.json_text import UNREADABLE
from django_healthkit_ingest.core.rejections import rejection


class PointType(msgspec.Struct, frozen=True):
    value_class: str
    unit: str
    identifier: str | None = None
    category_value: int | None = None
    """The type's name says the category; the value then is a duration in minutes, which the dates say too."""
    category_from_value: bool = False


class _Names(msgspec.Struct, frozen=True):
    types: dict[str, PointType]
    units: dict[str, str]
    menstrual_flow: dict[str, int]
    insulin_delivery_reason: dict[str, int]
    workout_activity: dict[str, int]


class _Numeric(msgspec.Struct, frozen=True, gc=False):
    value_class: Literal["NumericHealthValue"] = msgspec.field(name="__type")
    number: float = msgspec.field(name="numericValue")


class _MenstruationFlow(msgspec.Struct, frozen=True, gc=False):
    value_class: Literal["MenstruationFlowHealthValue"] = msgspec.field(name="__type")
    flow: str | None = None
    is_start: bool | None = msgspec.field(name="isStartOfCycle", default=None)
    was_user_entered: bool | None = msgspec.field(name="wasUserEntered", default=None)


class _InsulinDelivery(msgspec.Struct, frozen=True, gc=False):
    value_class: Literal["InsulinDeliveryHealthValue"] = msgspec.field(name="__type")
    units: float
    reason: str | None = None


class _Workout(msgspec.Struct, frozen=True, gc=False):
    value_class: Literal["WorkoutHealthValue"] = msgspec.field(name="__type")
    activity: str | None = msgspec.field(name="workoutActivityType", default=None)


class Reading(msgspec.Struct, frozen=True, gc=False):
    """What a point's value says, in HealthKit's terms."""

    value: float | None = None
    unit: str | None = None
    category: float | None = None
    metadata: dict[str, Any] = {}


V = TypeVar("V", _Numeric, _MenstruationFlow, _InsulinDelivery)


@lru_cache(maxsize=1)
def names() -> _Names:
    return msgspec.convert(load("flutter_types.json"), _Names)


def read_value(raw: msgspec.Raw, known: PointType | None, *, unit: str | None, strictly: bool) -> Reading:
    """``strictly``: the value is needed, so a value of another class is refused; else it is kept in the details."""
    if not strictly:
        return _read_loosely(raw, known, unit=healthkit_unit(unit))
    match "NumericHealthValue" if known is None else known.value_class:
        case "MenstruationFlowHealthValue":
            return _read_flow(_read_class(raw, _MenstruationFlow))
        case "InsulinDeliveryHealthValue":
            return _read_insulin(_read_class(raw, _InsulinDelivery), unit=healthkit_unit(unit))
    return _in_columns(_read_class(raw, _Numeric).number, known, unit=healthkit_unit(unit))


def _in_columns(number: float, known: PointType | None, *, unit: str | None) -> Reading:
    if known is not None and known.category_value is not None:
        return Reading(category=known.category_value)
    if known is not None and known.category_from_value:
        return Reading(category=number)
    return Reading(value=number, unit=unit)


def _read_flow(value: _MenstruationFlow) -> Reading:
    category = names().menstrual_flow.get(value.flow or "unspecified")
    if category is None:
        raise rejection("value_unknown", field="value.flow")
    metadata: dict[str, Any] = {}
    if value.is_start is not None:
        metadata["HKMenstrualCycleStart"] = value.is_start
    if value.was_user_entered:
        metadata["HKWasUserEntered"] = True
    return Reading(category=category, metadata=metadata)


def _read_insulin(value: _InsulinDelivery, *, unit: str | None) -> Reading:
    reason = names().insulin_delivery_reason.get(value.reason or "")
    return Reading(value=value.units, unit=unit, metadata={} if reason is None else {"HKInsulinDeliveryReason": reason})


def _read_loosely(raw: msgspec.Raw, known: PointType | None, *, unit: str | None) -> Reading:
    try:
        if known is not None and known.value_class == "WorkoutHealthValue":
            activity = msgspec.json.decode(raw, type=_Workout).activity
            return Reading(unit=unit, category=names().workout_activity.get(activity or ""))
        return _in_columns(msgspec.json.decode(raw, type=_Numeric).number, known, unit=unit)
    except UNREADABLE:
        return Reading(unit=unit)


def _read_class(raw: msgspec.Raw, expected: type[V]) -> V:
    """Raises RecordRejected with the field ``value`` or one below it."""
    try:
        return msgspec.json.decode(raw, type=expected)
    except UNREADABLE:
        read_members(raw, field="value")
        values, faults = read_fields(raw, expected)
    if "value_class" in faults:
        raise rejection("value_class_unexpected", field="value.__type")
    for fault in faults.values():
        raise rejection(fault.reason, field=f"value.{fault.field}")
    return expected(**values)


def healthkit_unit(name: str | None) -> str | None:
    """The HKUnit; what is no name of the package's is left for the unit parser to judge."""
    return names().units.get(name, name) if name is not None else None
