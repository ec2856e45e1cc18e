"""AFTER: what teams write next. A task per hundred records: a fingerprint row for each, and then its sample.

Each statement is a transaction of its own, as Django does it unless told otherwise.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from django.utils.dateparse import parse_datetime

from benchmarks.baselines.models import ChunkedSample, SampleFingerprint

CHUNK = 100


def store_chunk(payload: bytes, *, user_id: int, batch_id: int) -> None:
    """``payload`` is a JSON array of records."""
    for record in json.loads(payload):
        digest = fingerprint(record, user_id=user_id)
        SampleFingerprint.objects.get_or_create(fingerprint=digest, defaults={"user_id": user_id})
        ChunkedSample.objects.update_or_create(
            fingerprint=digest, defaults={**columns(record), "user_id": user_id, "batch_id": batch_id}
        )


def columns(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": record["type"],
        "start": parse_datetime(record["start"]),
        "end": parse_datetime(record["end"]),
        "value": record.get("value"),
        "unit": record.get("unit", ""),
        "category": record.get("category"),
        "source_name": record["source"]["name"],
        "source_bundle_id": record["source"]["bundle_id"],
        "metadata": record.get("metadata"),
    }


def fingerprint(record: Mapping[str, Any], *, user_id: int) -> str:
    identity = [user_id, *(record.get(name) for name in ("type", "start", "end", "value", "category"))]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()
