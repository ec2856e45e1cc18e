"""Bodies as phones send them, small and made up."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import uuid4

import msgspec

SOURCE = {
    "name": "Test Watch",
    "bundle_id": "com.apple.health.0A1B2C3D",
    "version": "11.1",
    "product_type": "Watch7,11",
    "system_version": "11.1.0",
}


def quantity(
    identifier: str = "HKQuantityTypeIdentifierHeartRate",
    *,
    value: float | None = 61,
    unit: str | None = "count/min",
    start: str = "2026-01-05T08:00:00+01:00",
    **fields: Any,
) -> dict[str, Any]:
    """One quantity record of the ``healthkit`` format; any field can be overridden, None drops it."""
    record = {"uuid": str(uuid4()), "type": identifier, "start": start, "end": start, "value": value, "unit": unit}
    return _without_none({**record, "source": SOURCE, **fields})


def category(
    identifier: str = "HKCategoryTypeIdentifierMenstrualFlow",
    *,
    category: int = 3,
    start: str = "2026-01-05T00:00:00+01:00",
    **fields: Any,
) -> dict[str, Any]:
    """One category record of the ``healthkit`` format."""
    record = {"uuid": str(uuid4()), "type": identifier, "start": start, "end": start, "category": category}
    return _without_none({**record, "source": SOURCE, **fields})


def correlation(
    *objects: dict[str, Any],
    identifier: str = "HKCorrelationTypeIdentifierBloodPressure",
    start: str = "2026-01-05T08:00:00+01:00",
    **fields: Any,
) -> dict[str, Any]:
    """One correlation record of the ``healthkit`` format; ``objects`` are the records inside it."""
    record = {"uuid": str(uuid4()), "type": identifier, "start": start, "end": start, "objects": list(objects)}
    return _without_none({**record, "source": SOURCE, **fields})


def statistic(
    identifier: str = "HKQuantityTypeIdentifierStepCount",
    *,
    aggregation: str = "sum",
    value: float | None = 8421,
    unit: str | None = "count",
    start: str = "2026-01-05T00:00:00+01:00",
    end: str | None = "2026-01-06T00:00:00+01:00",
    **fields: Any,
) -> dict[str, Any]:
    """One element of the ``healthkit`` format's ``statistics``."""
    record = {"type": identifier, "aggregation": aggregation, "start": start, "end": end, "value": value, "unit": unit}
    return _without_none({**record, **fields})


def flutter_point(
    type: str = "HEART_RATE",
    *,
    value: float = 61,
    unit: str = "BEATS_PER_MINUTE",
    start: datetime | str = "2026-01-05T08:00:00.000",
    **fields: Any,
) -> dict[str, Any]:
    """One ``HealthDataPoint.toJson()`` of the Flutter ``health`` package 11-13, with a numeric value."""
    moment = start if isinstance(start, str) else start.isoformat(timespec="milliseconds")
    point = {
        "uuid": str(uuid4()).upper(),
        "value": {"__type": "NumericHealthValue", "numericValue": value},
        "type": type,
        "unit": unit,
        "dateFrom": moment,
        "dateTo": moment,
        "sourcePlatform": "appleHealth",
        "sourceDeviceId": "00000000-0000-0000-0000-00000000F00D",
        "sourceId": SOURCE["bundle_id"],
        "sourceName": SOURCE["name"],
        "recordingMethod": "automatic",
    }
    return _without_none({**point, **fields})


def healthkit_body(*samples: Any, deletions: Iterable[Any] = (), **envelope: Any) -> bytes:
    """A ``healthkit`` request; ``deletions`` are uuids, ``statistics`` in the envelope a list."""
    gone = [{"uuid": str(uuid)} for uuid in deletions]
    body = {"format": "healthkit", "version": 1, "samples": list(samples), **envelope}
    return msgspec.json.encode({**body, "deletions": gone} if gone else body)


def flutter_body(*points: Any, time_zone: str | None = "Europe/Berlin", **envelope: Any) -> bytes:
    """A ``flutter`` request. Its dates are naive, so it declares a time zone unless told not to."""
    zone = {"time_zone": time_zone} if time_zone else {}
    return msgspec.json.encode({"format": "flutter", "version": 1, **zone, "samples": list(points), **envelope})


def _without_none(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if value is not None}
