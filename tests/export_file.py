"""A made-up export.xml of any size, streamed to the disk: ``python -m tests.export_file FILE MEGABYTES``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

BEGIN = datetime(2019, 1, 1, tzinfo=timezone(timedelta(hours=1)))
DEVICE = "&lt;&lt;HKDevice: 0x30&gt;, name:Apple Watch, manufacturer:Apple Inc., model:Watch, hardware:Watch7,11&gt;"
HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<HealthData locale="en_DE">
 <ExportDate value="2026-01-05 08:00:00 +0100"/>
"""
TAIL = "</HealthData>\n"


def records() -> Iterator[str]:
    """Heart rates, five seconds apart, without end; about 420 bytes each, as a phone writes them."""
    moment = BEGIN
    number = 0
    while True:
        text = moment.strftime("%Y-%m-%d %H:%M:%S %z")
        yield (
            f' <Record type="HKQuantityTypeIdentifierHeartRate" sourceName="Test Watch" sourceVersion="11.1"'
            f' device="{DEVICE}" unit="count/min" creationDate="{text}" startDate="{text}" endDate="{text}"'
            f' value="{50 + number % 100}">\n'
            f'  <MetadataEntry key="HKMetadataKeyHeartRateMotionContext" value="{number % 3}"/>\n </Record>\n'
        )
        moment += timedelta(seconds=5)
        number += 1


def write_export(path: Path, *, size: int) -> int:
    """At least so many bytes; how many records that were."""
    with path.open("w", encoding="utf-8") as file:
        written = file.write(HEAD)
        for number, record in enumerate(records(), start=1):
            written += file.write(record)
            if written >= size:
                file.write(TAIL)
                return number
    raise AssertionError


if __name__ == "__main__":
    sys.stdout.write(f"{write_export(Path(sys.argv[1]), size=int(sys.argv[2]) * 10**6)} records\n")
