"""The same event as each wire format says it, and the row it must become."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from example_project.demo.history import (
    ACTIVE_ENERGY,
    BODY_MASS,
    HEART_RATE,
    MENSTRUAL_FLOW,
    OXYGEN_SATURATION,
    SLEEP,
    STEP_COUNT,
    Event,
)
from example_project.demo.people import Person

KILOJOULES_PER_KILOCALORIE = 4.184
KILOGRAMS_PER_POUND = 0.45359237

UNITS = {
    HEART_RATE: "count/min",
    STEP_COUNT: "count",
    ACTIVE_ENERGY: "kcal",
    OXYGEN_SATURATION: "%",
    BODY_MASS: "kg",
}
FLUTTER_TYPES = {
    HEART_RATE: ("HEART_RATE", "BEATS_PER_MINUTE"),
    STEP_COUNT: ("STEPS", "COUNT"),
    ACTIVE_ENERGY: ("ACTIVE_ENERGY_BURNED", "KILOCALORIE"),
    OXYGEN_SATURATION: ("BLOOD_OXYGEN", "PERCENT"),
    BODY_MASS: ("WEIGHT", "KILOGRAM"),
}
FLUTTER_STAGES = {2: "SLEEP_AWAKE", 3: "SLEEP_LIGHT", 4: "SLEEP_DEEP", 5: "SLEEP_REM"}
FLUTTER_FLOWS = {2: "light", 3: "medium", 4: "heavy"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the database must hold for one event, comparable with what it holds."""

    identifier: str
    uuid: UUID | None
    start: datetime
    end: datetime
    value: float | None
    category: int | None
    time_zone: str
    source_name: str
    bundle_id: str
    metadata: str


def expected_row(event: Event, person: Person, *, has_uuid: bool) -> Row:
    return Row(
        identifier=event.identifier,
        uuid=event.uuid if has_uuid else None,
        start=event.start,
        end=event.end,
        value=comparable(event.value),
        category=event.category,
        time_zone=expected_zone(event, person),
        source_name=person.watch,
        bundle_id=person.bundle_id,
        metadata=as_text(flutter_metadata(event) if person.format == "flutter" else event.metadata),
    )


def comparable(value: float | None) -> float | None:
    """Twelve digits: what converting from pounds or kilojoules leaves exact."""
    return None if value is None else float(f"{value:.12g}")


def as_text(metadata: Any) -> str:
    return json.dumps(metadata, sort_keys=True) if metadata else ""


def expected_zone(event: Event, person: Person) -> str:
    if person.format == "flutter" or person.names_zones:
        return person.time_zone
    return event.start.astimezone(person.zone).isoformat()[-6:]


def flutter_metadata(event: Event) -> dict[str, object]:
    """The health package sends none; these two things it says in other words."""
    spoken = ("HKWasUserEntered", "HKMenstrualCycleStart")
    return {name: value for name, value in event.metadata.items() if name in spoken}


def in_dialect(event: Event, person: Person, *, has_uuid: bool) -> dict[str, Any]:
    record = as_flutter(event, person) if person.format == "flutter" else as_healthkit(event, person)
    if not has_uuid:
        if person.format == "flutter":
            return {**record, "uuid": ""}
        del record["uuid"]
    return record


def as_healthkit(event: Event, person: Person) -> dict[str, Any]:
    record: dict[str, Any] = {
        "uuid": str(event.uuid),
        "type": event.identifier,
        "start": event.start.astimezone(person.zone).isoformat(timespec="milliseconds"),
        "end": event.end.astimezone(person.zone).isoformat(timespec="milliseconds"),
        "source": {"name": person.watch, "bundle_id": person.bundle_id, "product_type": "Watch7,11", "version": "11.1"},
    }
    if person.names_zones:
        record["time_zone"] = person.time_zone
    if event.metadata:
        record["metadata"] = event.metadata
    if event.value is None:
        return {**record, "category": event.category}
    unit, factor = UNITS[event.identifier], 1.0
    if event.identifier == ACTIVE_ENERGY and person.energy_unit == "kJ":
        unit, factor = "kJ", KILOJOULES_PER_KILOCALORIE
    if event.identifier == BODY_MASS and person.mass_unit == "lb":
        unit, factor = "lb", 1 / KILOGRAMS_PER_POUND
    return {**record, "value": event.value * factor, "unit": unit}


def as_flutter(event: Event, person: Person) -> dict[str, Any]:
    """Dates are the phone's local time without an offset; the envelope says where that is."""
    value: dict[str, Any] = {"__type": "NumericHealthValue", "numericValue": event.value}
    if event.identifier == SLEEP:
        type_, unit = FLUTTER_STAGES[event.category or 0], "MINUTE"
        value["numericValue"] = (event.end - event.start).total_seconds() / 60
    elif event.identifier == MENSTRUAL_FLOW:
        type_, unit = "MENSTRUATION_FLOW", "NO_UNIT"
        value = {
            "__type": "MenstruationFlowHealthValue",
            "flow": FLUTTER_FLOWS[event.category or 0],
            "isStartOfCycle": event.metadata["HKMenstrualCycleStart"],
            "wasUserEntered": False,
            "dateTime": naive(event.start, person),
        }
    else:
        type_, unit = FLUTTER_TYPES[event.identifier]
    return {
        "uuid": str(event.uuid).upper(),
        "value": value,
        "type": type_,
        "unit": unit,
        "dateFrom": naive(event.start, person),
        "dateTo": naive(event.end, person),
        "sourcePlatform": "appleHealth",
        "sourceDeviceId": "5B1D3B0C-0D4B-4B56-9B0A-2F6F7D0C7A11",
        "sourceId": person.bundle_id,
        "sourceName": person.watch,
        "recordingMethod": "manual" if event.metadata.get("HKWasUserEntered") else "automatic",
    }


def naive(moment: datetime, person: Person) -> str:
    return moment.astimezone(person.zone).replace(tzinfo=None).isoformat(timespec="milliseconds")
