"""A phone's health database: what was inserted and deleted, in order, and anchors into that order."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from django_healthkit_ingest.testing.payloads import quantity
from example_project.client import Changes

HEART_RATE = "HKQuantityTypeIdentifierHeartRate"
STEPS = "HKQuantityTypeIdentifierStepCount"
UNITS = {HEART_RATE: "count/min", STEPS: "count"}


class Phone:
    """HealthKit as ``example_project.client.HealthStore`` asks it; uuids come from the name, so stories repeat."""

    def __init__(self, name: str = "phone", *, types: Iterable[str] = (HEART_RATE, STEPS)) -> None:
        self.name = name
        self._types = tuple(types)
        self._events: list[tuple[str, dict[str, Any]]] = []
        self._alive: dict[str, dict[str, Any]] = {}
        self._recorded = 0

    def record(self, *times: str, identifier: str = HEART_RATE, **fields: Any) -> list[str]:
        """One sample at each time; their uuids."""
        return [self._insert(time, identifier=identifier, **fields) for time in times]

    def delete(self, *uuids: str) -> None:
        for uuid in uuids:
            self._events.append((self._alive.pop(uuid)["type"], {"uuid": uuid}))

    @property
    def uuids(self) -> set[str]:
        """What is there now."""
        return set(self._alive)

    def types(self) -> Iterable[str]:
        return self._types

    def changes(self, type: str, *, anchor: str | None, start: datetime | None, limit: int) -> Changes:
        """As HealthKit: what came and went is only a deletion, deletions stand beside the limit, and 0 is no limit."""
        place = 0 if anchor is None else int(base64.b64decode(anchor))
        samples: list[dict[str, Any]] = []
        deletions: list[dict[str, Any]] = []
        for identifier, event in self._events[place:]:
            if limit and len(samples) == limit:
                break
            place += 1
            if identifier != type:
                continue
            if "start" not in event:
                deletions.append(event)
            elif event["uuid"] in self._alive and (start is None or datetime.fromisoformat(event["start"]) >= start):
                samples.append(event)
        return Changes(samples=samples, deletions=deletions, anchor=base64.b64encode(str(place).encode()).decode())

    def samples(self, type: str, *, start: datetime, end: datetime) -> Sequence[dict[str, Any]]:
        mine = [sample for sample in self._alive.values() if sample["type"] == type]
        return [sample for sample in mine if start <= datetime.fromisoformat(sample["start"]) < end]

    def _insert(self, time: str, *, identifier: str, **fields: Any) -> str:
        self._recorded += 1
        uuid = str(uuid5(NAMESPACE_OID, f"{self.name}/{self._recorded}"))
        value = 60 + self._recorded % 50
        sample = quantity(identifier, start=time, uuid=uuid, value=value, unit=UNITS[identifier], **fields)
        self._events.append((identifier, sample))
        self._alive[uuid] = sample
        return uuid
