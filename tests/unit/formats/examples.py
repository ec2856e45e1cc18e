"""One short history as the clients of every format would send it; every value in it is made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

BERLIN = ZoneInfo("Europe/Berlin")
GONE = "C0FFEE00-0000-4000-8000-00000000DEAD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A sample as HealthKit has it, beside its names in the dialects that have their own."""

    uuid: str
    identifier: str
    start: datetime
    end: datetime
    value: float | None = None
    unit: str = ""
    category: int | None = None
    flutter_type: str
    flutter_unit: str
    label: str = ""
    """Of open-wearables: the unit, the sleep stage, the activity."""


def _moment(number: int, identifier: str, start: str, minutes: float, **fields: Any) -> Moment:
    first = datetime.fromisoformat(start).replace(tzinfo=BERLIN)
    uuid = f"50135A58-6D6B-4B0E-8F0E-{number:012X}"
    return Moment(uuid=uuid, identifier=identifier, start=first, end=first + timedelta(minutes=minutes), **fields)


HISTORY = (
    _moment(1, "HKQuantityTypeIdentifierHeartRate", "2026-07-01T08:00:00", 0, value=72.0, unit="count/min",
            flutter_type="HEART_RATE", flutter_unit="BEATS_PER_MINUTE", label="bpm"),
    _moment(2, "HKQuantityTypeIdentifierStepCount", "2026-07-01T08:00:00", 10, value=120.0, unit="count",
            flutter_type="STEPS", flutter_unit="COUNT", label="count"),
    _moment(3, "HKQuantityTypeIdentifierBodyMass", "2026-07-01T07:10:00", 0, value=70.5, unit="kg",
            flutter_type="WEIGHT", flutter_unit="KILOGRAM", label="kg"),
    _moment(4, "HKQuantityTypeIdentifierOxygenSaturation", "2026-07-01T03:05:00", 0, value=0.97, unit="%",
            flutter_type="BLOOD_OXYGEN", flutter_unit="PERCENT", label="%"),
    _moment(5, "HKQuantityTypeIdentifierActiveEnergyBurned", "2026-07-01T08:00:00", 10, value=4.25, unit="kcal",
            flutter_type="ACTIVE_ENERGY_BURNED", flutter_unit="KILOCALORIE", label="Cal"),
    _moment(6, "HKCategoryTypeIdentifierSleepAnalysis", "2026-07-01T01:00:00", 55, category=4,
            flutter_type="SLEEP_DEEP", flutter_unit="MINUTE", label="deep"),
    _moment(7, "HKWorkoutTypeIdentifier", "2026-07-01T18:00:00", 40, category=37,
            flutter_type="WORKOUT", flutter_unit="NO_UNIT", label="running"),
)  # fmt: skip
PRECISE = tuple(
    replace(moment, start=moment.start + timedelta(microseconds=123_456), end=moment.end + timedelta(seconds=1))
    for moment in HISTORY[:1]
)


def _utc(date: datetime, timespec: str = "milliseconds") -> str:
    return date.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def _local(date: datetime) -> str:
    return date.replace(tzinfo=None).isoformat(timespec="milliseconds")


def healthkit(history: tuple[Moment, ...]) -> dict[str, Any]:
    samples = [
        {
            "uuid": moment.uuid,
            "type": moment.identifier,
            "start": moment.start.isoformat(),
            "end": moment.end.isoformat(),
            **({"value": moment.value, "unit": moment.unit} if moment.value is not None else {}),
            **({"category": moment.category} if moment.category is not None else {}),
            "source": {"name": "Ada's Watch", "bundle_id": "com.apple.health.0A1B"},
        }
        for moment in history
    ]
    return {"version": 1, "samples": samples, "deletions": [{"uuid": GONE}]}


def _flutter_value(moment: Moment) -> dict[str, Any]:
    if moment.flutter_type == "WORKOUT":
        return {"workoutActivityType": "RUNNING", "totalDistance": 6200, "totalDistanceUnit": "METER"}
    number = moment.value if moment.value is not None else (moment.end - moment.start) / timedelta(minutes=1)
    return {"numericValue": number}


def flutter_11(history: tuple[Moment, ...]) -> list[Any]:
    return [
        {
            "uuid": moment.uuid,
            "value": {
                "__type": "WorkoutHealthValue" if moment.flutter_type == "WORKOUT" else "NumericHealthValue",
                **_flutter_value(moment),
            },
            "type": moment.flutter_type,
            "unit": moment.flutter_unit,
            "dateFrom": _local(moment.start),
            "dateTo": _local(moment.end),
            "sourcePlatform": "appleHealth",
            "sourceDeviceId": "0A1B2C3D-phone",
            "sourceId": "com.apple.health.0A1B",
            "sourceName": "Ada's Watch",
            "recordingMethod": "automatic",
        }
        for moment in history
    ]


def flutter_10_2(history: tuple[Moment, ...]) -> list[Any]:
    return [
        {
            "value": {_snake(key): member for key, member in point["value"].items()},
            "type": point["type"],
            "unit": point["unit"],
            "date_from": point["dateFrom"],
            "date_to": point["dateTo"],
            "source_platform": "appleHealth",
            "source_device_id": point["sourceDeviceId"],
            "source_id": point["sourceId"],
            "source_name": point["sourceName"],
            "is_manual_entry": False,
        }
        for point in flutter_11(history)
    ]


def flutter_10_0(history: tuple[Moment, ...]) -> list[Any]:
    moved = {"source_platform": "platform", "source_device_id": "device_id"}
    points = [{moved.get(key, key): member for key, member in point.items()} for point in flutter_10_2(history)]
    return [point | {"platform": "IOS"} for point in points]


def flutter_4_5(history: tuple[Moment, ...]) -> list[Any]:
    return [
        {
            "value": {
                key: str(member) if key == "numericValue" else member for key, member in _flutter_value(moment).items()
            },
            "data_type": moment.flutter_type,
            "unit": moment.flutter_unit,
            "date_from": _local(moment.start),
            "date_to": _local(moment.end),
            "platform_type": "ios",
            "device_id": "0A1B2C3D-phone",
            "source_id": "com.apple.health.0A1B",
            "source_name": "Ada's Watch",
        }
        for moment in history
    ]


def flutter_4_0(history: tuple[Moment, ...]) -> list[Any]:
    return [
        point | {"data_type": point["data_type"].lower(), "unit": point["unit"].lower()}
        for point in flutter_4_5(history)
    ]


def _snake(key: str) -> str:
    return key if key == "__type" else "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)


def react_native_16(history: tuple[Moment, ...]) -> dict[str, Any]:
    return {
        "samples": react_native_array(history),
        "deletedSamples": [{"uuid": GONE, "metadata": {}}],
        "newAnchor": "YQ",
    }


def react_native_array(history: tuple[Moment, ...]) -> list[Any]:
    return [
        {"sampleType": {"identifier": moment.identifier, "isMinimumDurationRestricted": False}, **sample}
        for moment, sample in zip(history, _react_native(history), strict=True)
    ]


def react_native_8(history: tuple[Moment, ...]) -> dict[str, Any]:
    """The dates of 8 are written by Swift, without fractions of seconds."""
    dates = {moment.uuid: (_utc(moment.start, "seconds"), _utc(moment.end, "seconds")) for moment in history}
    samples = [
        sample | {"startDate": dates[sample["uuid"]][0], "endDate": dates[sample["uuid"]][1]}
        for sample in _react_native(history)
    ]
    return {"samples": samples, "deletedSamples": [], "newAnchor": "YQ"}


def _react_native(history: tuple[Moment, ...]) -> list[dict[str, Any]]:
    samples = []
    for moment in history:
        sample: dict[str, Any] = {
            "uuid": moment.uuid,
            "startDate": _utc(moment.start),
            "endDate": _utc(moment.end),
            "metadata": {"HKWeatherHumidity": {"quantity": 64, "unit": "%"}},
            "sourceRevision": {
                "source": {"name": "Ada's Watch", "bundleIdentifier": "com.apple.health.0A1B"},
                "version": "11.1",
                "operatingSystemVersion": "11.1.0",
                "productType": "Watch7,11",
            },
            "device": {"name": "Apple Watch", "manufacturer": "Apple Inc.", "hardwareVersion": "Watch7,11"},
        }
        if moment.value is not None:
            sample |= {"quantityType": moment.identifier, "quantity": moment.value, "unit": moment.unit}
        elif moment.label == "running":
            sample |= {"workoutActivityType": moment.category, "duration": {"quantity": 2400, "unit": "s"}}
        else:
            sample |= {"categoryType": moment.identifier, "value": moment.category}
        samples.append(sample)
    return samples


def react_native_workouts(history: tuple[Moment, ...]) -> dict[str, Any]:
    workouts = [sample for sample in react_native_array(history) if "workoutActivityType" in sample]
    return {"workouts": workouts, "deletedSamples": [], "newAnchor": "YQ"}


def open_wearables(history: tuple[Moment, ...]) -> dict[str, Any]:
    data: dict[str, list[Any]] = {"records": [], "sleep": [], "workouts": []}
    for moment in history:
        element = {
            "id": moment.uuid,
            "parentId": None,
            "startDate": _utc(moment.start, "seconds"),
            "endDate": _utc(moment.end, "seconds"),
            "zoneOffset": None,
            "source": {"appId": "com.apple.health.0A1B", "deviceName": "Apple Watch", "deviceType": "watch"},
            "metadata": None,
        }
        if moment.value is not None:
            factor = 100 if moment.label == "%" else 1
            record = {"type": moment.identifier, "value": moment.value * factor, "unit": moment.label}
            data["records"].append(element | record)
        elif moment.label == "running":
            data["workouts"].append(element | {"type": "running", "values": [{"type": "duration", "value": 2400}]})
        else:
            data["sleep"].append(element | {"stage": moment.label})
    return {"provider": "apple", "sdkVersion": "0.4.0", "syncTimestamp": "2026-07-02T00:00:00Z", "data": data}


def apple_export(history: tuple[Moment, ...]) -> str:
    lines = []
    for moment in history:
        start, end = (each.strftime("%Y-%m-%d %H:%M:%S %z") for each in (moment.start, moment.end))
        common = f'sourceName="Ada’s Watch" startDate="{start}" endDate="{end}"'
        if moment.value is not None:
            content = f'type="{moment.identifier}" unit="{moment.unit}" value="{moment.value:.6g}"'
            lines.append(f"<Record {content} {common}/>")
        elif moment.label == "running":
            lines.append(f'<Workout workoutActivityType="HKWorkoutActivityTypeRunning" duration="40" {common}/>')
        else:
            value = f"HKCategoryValueSleepAnalysisAsleep{moment.label.title()}"
            lines.append(f'<Record type="{moment.identifier}" value="{value}" {common}/>')
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', "<HealthData>", *lines, "</HealthData>"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    format: str
    write: Callable[[tuple[Moment, ...]], Any]
    time_zone: str | None = None
    uuids: bool = True

    def body(self, history: tuple[Moment, ...] = HISTORY) -> bytes:
        written = self.write(history)
        return (written if isinstance(written, str) else json.dumps(written)).encode()


DIALECTS = {
    "healthkit": Dialect(format="healthkit", write=healthkit),
    "flutter_11": Dialect(format="flutter", write=flutter_11, time_zone="Europe/Berlin"),
    "flutter_10_2": Dialect(format="flutter", write=flutter_10_2, time_zone="Europe/Berlin", uuids=False),
    "flutter_10_0": Dialect(format="flutter", write=flutter_10_0, time_zone="Europe/Berlin", uuids=False),
    "flutter_4_5": Dialect(format="flutter", write=flutter_4_5, time_zone="Europe/Berlin", uuids=False),
    "flutter_4_0": Dialect(format="flutter", write=flutter_4_0, time_zone="Europe/Berlin", uuids=False),
    "react_native_16": Dialect(format="react_native_healthkit", write=react_native_16),
    "react_native_array": Dialect(format="react_native_healthkit", write=react_native_array),
    "react_native_8": Dialect(format="react_native_healthkit", write=react_native_8),
    "open_wearables": Dialect(format="open_wearables", write=open_wearables),
    "apple_export": Dialect(format="apple_export", write=apple_export, uuids=False),
}
