"""Apple's export of records that were sent as ``healthkit`` before: whole seconds, 6 digits, no uuid, any unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from xml.sax.saxutils import quoteattr
from zoneinfo import ZoneInfo

BERLIN = ZoneInfo("Europe/Berlin")
PREFERRED_UNITS = {"m": ("mi", 1609.344), "kg": ("lb", 0.45359237)}
"""What the phone of somebody with imperial units prints, and how much of ours that is."""
SLEEP_STAGES = {3: "AsleepCore", 4: "AsleepDeep", 5: "AsleepREM"}


def apple_export(*records: Mapping[str, Any], zone: ZoneInfo = BERLIN) -> bytes:
    """Members of correlations are listed in them and once more beside them, as the Health app does."""
    copies = [member for record in records for member in record.get("objects", ())]
    elements = "".join(_element(record, zone=zone) for record in (*records, *copies))
    return f'<?xml version="1.0"?>\n<HealthData locale="en_US">\n{elements}</HealthData>\n'.encode()


def _element(record: Mapping[str, Any], *, zone: ZoneInfo) -> str:
    said = {
        "type": record["type"],
        "sourceName": record["source"]["name"],
        "creationDate": _date(record["end"], zone=zone),
        "startDate": _date(record["start"], zone=zone),
        "endDate": _date(record["end"], zone=zone),
        **_measured(record),
    }
    metadata = "".join(_entry(key, str(value)) for key, value in record.get("metadata", {}).items())
    members = "".join(_element(member, zone=zone) for member in record.get("objects", ()))
    name = "Correlation" if "objects" in record else "Record"
    return f"<{name} {_attributes(said.items())}>{metadata}{members}</{name}>\n"


def _measured(record: Mapping[str, Any]) -> dict[str, str]:
    if "value" in record:
        unit, factor = PREFERRED_UNITS.get(record["unit"], (record["unit"], 1.0))
        return {"unit": unit, "value": f"{record['value'] / factor:.6g}"}
    if "category" in record:
        return {"value": f"HKCategoryValueSleepAnalysis{SLEEP_STAGES[record['category']]}"}
    return {}


def _entry(key: str, value: str) -> str:
    return f"<MetadataEntry {_attributes([('key', key), ('value', value)])}/>"


def _attributes(pairs: Iterable[tuple[str, str]]) -> str:
    return " ".join(f"{name}={quoteattr(text)}" for name, text in pairs)


def _date(text: str, *, zone: ZoneInfo) -> str:
    return f"{datetime.fromisoformat(text).astimezone(zone):%Y-%m-%d %H:%M:%S %z}"
