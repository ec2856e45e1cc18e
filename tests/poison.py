"""A wire format that some records break: what they do to a worker is what a bug in a parser or a C library would do."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from django_healthkit_ingest.core.formats.healthkit import HealthKitFormat
from django_healthkit_ingest.core.samples import Parsed
from django_healthkit_ingest.testing.payloads import quantity

KILLS, RAISES, HANGS, KILLS_IN_PAIRS = 661.0, 662.0, 663.0, 664.0
"""Values of such records."""


class PoisonousFormat(HealthKitFormat):
    def parse(self, records: bytes, **options: Any) -> Iterator[Parsed]:
        values = [record.get("value") for record in msgspec.json.decode(records)]
        if KILLS in values or values.count(KILLS_IN_PAIRS) > 1:
            os._exit(137)  # as the kernel does when memory is short: nothing is said, nothing is tidied up
        if RAISES in values:
            raise ZeroDivisionError
        if HANGS in values:
            time.sleep(3600)
        return super().parse(records, **options)


def records(number: int, **poison: float) -> list[dict[str, Any]]:
    """So many heart rates; ``at_3=KILLS`` makes the fourth one poisonous."""
    values = {int(place.removeprefix("at_")): value for place, value in poison.items()}
    return [quantity(value=values.get(index, 60 + index % 40)) for index in range(number)]
