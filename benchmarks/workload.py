"""What phones bring, made up: mixed records of one user, each some 400 bytes of JSON, different in every call."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import count
from typing import Any
from uuid import UUID

import msgspec

_START = datetime(2020, 1, 1, tzinfo=timezone(timedelta(hours=1)))
_STEP = timedelta(seconds=37)
_WATCH = {
    "name": "Anna's Apple Watch",
    "bundle_id": "com.apple.health.0A1B2C3D-4E5F-6071-8293-A4B5C6D7E8F9",
    "version": "11.1",
    "product_type": "Watch7,11",
    "system_version": "11.1.0",
}
_PHONE = {
    **_WATCH,
    "name": "Anna's iPhone",
    "product_type": "iPhone17,1",
    "version": "18.1",
    "system_version": "18.1.0",
}
_DEVICE = {"name": "Apple Watch", "manufacturer": "Apple Inc.", "model": "Watch", "hardware_version": "Watch7,11"}
_QUANTITIES = (
    ("HeartRate", "count/min", _WATCH),
    ("ActiveEnergyBurned", "kcal", _WATCH),
    ("HeartRate", "count/min", _WATCH),
    ("StepCount", "count", _PHONE),
    ("HeartRate", "count/min", _WATCH),
    ("DistanceWalkingRunning", "m", _PHONE),
    ("ActiveEnergyBurned", "kcal", _WATCH),
    ("BasalEnergyBurned", "kcal", _WATCH),
    ("OxygenSaturation", "%", _WATCH),
)
_INSTANTS = ("HeartRate", "OxygenSaturation")
"""HealthKit gives these no duration."""
_numbers = count(1)


def records(number: int) -> list[dict[str, Any]]:
    """New records of the ``healthkit`` format: nine in ten quantities, of which a third have metadata."""
    return [_record(next(_numbers)) for _ in range(number)]


def body(samples: list[dict[str, Any]]) -> bytes:
    """A request of these records."""
    return msgspec.json.encode({"format": "healthkit", "version": 1, "samples": samples})


def array(samples: list[dict[str, Any]]) -> bytes:
    """These records as a chunk's payload has them."""
    return msgspec.json.encode(samples)


def _record(n: int) -> dict[str, Any]:
    start = _START + _STEP * n
    fields: dict[str, Any] = {
        "uuid": str(UUID(int=n * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128, version=4)),
        "start": start.isoformat(),
        "end": (start + timedelta(seconds=n % 60)).isoformat(),
    }
    if n % 10 == 0:
        sleep = {"type": "HKCategoryTypeIdentifierSleepAnalysis", "category": n // 10 % 6}
        return {**sleep, **fields, "source": _WATCH, "device": _DEVICE}
    name, unit, source = _QUANTITIES[n % 10 - 1]
    if name in _INSTANTS:
        fields["end"] = fields["start"]
    record = {"type": f"HKQuantityTypeIdentifier{name}", "value": 50 + n % 977 / 7, "unit": unit, **fields}
    record["source"] = source
    if source is _WATCH:
        record["device"] = _DEVICE
    if name == "HeartRate":
        record["metadata"] = {"HKMetadataKeyHeartRateMotionContext": n % 3}
    return record
