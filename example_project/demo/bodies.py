"""A history cut into the requests a phone would send: overlaps, deletions and faults included."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from example_project.demo.dialects import Row, expected_row, in_dialect
from example_project.demo.history import HEART_RATE, STEP_COUNT, Event, live
from example_project.demo.people import Person

EVENTS_PER_BODY = 800
OVERLAP = 25
"""Events a phone sends again in the next body, because it did not hear the answer to their first sending."""
DELETIONS_PER_BODY = 3
FAULTS_PER_BODY = 2
SHARE_WITHOUT_UUID = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One request; ``rejections`` maps an index in its samples to the code of the reason."""

    person: Person
    content: bytes
    record_count: int
    rejections: Mapping[int, str]
    idempotency_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What one person's phone sends, and what must be in the table when all of it has been processed."""

    person: Person
    bodies: tuple[Body, ...]
    rows: Counter[Row]


def tell(person: Person, *, days: int, seed: int) -> Story:
    events = live(person, days=days, seed=seed)
    random = Random(f"{seed}/{person.name}/bodies")
    anonymous = {event.uuid for event in events if person.withholds_uuids and random.random() < SHARE_WITHOUT_UUID}
    deleted: set[Any] = set()
    bodies: list[Body] = []
    for first in range(0, len(events), EVENTS_PER_BODY):
        sent = events[max(0, first - OVERLAP) : first + EVENTS_PER_BODY]
        samples = [in_dialect(event, person, has_uuid=event.uuid not in anonymous) for event in sent]
        rejections = spoil(samples, sent, person, random)
        gone: list[Event] = []
        if person.format == "healthkit" and first:
            earlier = [event for event in events[: first - OVERLAP] if event.uuid not in anonymous | deleted]
            gone = random.sample(earlier, DELETIONS_PER_BODY)
            deleted |= {event.uuid for event in gone}
        bodies.append(pack(person, samples, gone, rejections, number=len(bodies)))
    rows = Counter(
        expected_row(event, person, has_uuid=event.uuid not in anonymous)
        for event in events
        if event.uuid not in deleted
    )
    return Story(person=person, bodies=tuple(bodies), rows=rows)


def pack(person: Person, samples: list[Any], gone: list[Event], rejections: Mapping[int, str], *, number: int) -> Body:
    envelope: dict[str, Any] = {
        "format": person.format,
        "version": 1,
        "lane": "BACKFILL",
        "device": {"id": person.device_id, "model": "iPhone17,1", "system_version": "26.3"},
        "client": {"name": "demo", "version": "1.0"},
        "samples": samples,
    }
    if person.format == "flutter":
        envelope["time_zone"] = person.time_zone
    if gone:
        envelope["deletions"] = [{"uuid": str(event.uuid)} for event in gone]
    return Body(
        person=person,
        content=gzip.compress(json.dumps(envelope).encode(), compresslevel=5),
        record_count=len(samples) + len(gone),
        rejections=rejections,
        idempotency_key=f"{person.name}-{number}",
    )


def spoil(samples: list[Any], sent: list[Event], person: Person, random: Random) -> dict[int, str]:
    """Insert a few damaged copies, so that no event is lost by them; the index and code of each."""
    heart_rates = [event for event in sent if event.identifier == HEART_RATE]
    steps = [event for event in sent if event.identifier == STEP_COUNT]
    inserted: list[tuple[int, str]] = []
    for code in random.sample(("unit_mismatch", "invalid_uuid", "end_before_start", "wrong_type"), FAULTS_PER_BODY):
        event = random.choice(steps if code == "end_before_start" else heart_rates)
        record = damaged(in_dialect(event, person, has_uuid=True), code, person)
        place = random.randrange(len(samples) + 1)
        samples.insert(place, record)
        inserted = [(index + (index >= place), known) for index, known in inserted]
        inserted.append((place, code))
    return dict(inserted)


def damaged(record: dict[str, Any], code: str, person: Person) -> dict[str, Any]:
    is_flutter = person.format == "flutter"
    if code == "unit_mismatch":
        return {**record, "unit": "KILOGRAM" if is_flutter else "kg"}
    if code == "invalid_uuid":
        return {**record, "uuid": "not-a-uuid"}
    if code == "end_before_start":
        start, end = ("dateFrom", "dateTo") if is_flutter else ("start", "end")
        return {**record, start: record[end], end: record[start]}
    number = "seventy"
    return {**record, "value": {**record["value"], "numericValue": number} if is_flutter else number}
