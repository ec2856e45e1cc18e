"""The best of Django's own: msgspec reads the records, ``bulk_create(ignore_conflicts=True)`` writes them.

Into our table, with all its columns and indexes; without deletions, versions, twins, error reports and books.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from uuid import UUID

import msgspec
from django.db import transaction

from django_healthkit_ingest.models import HealthSample


class _Source(msgspec.Struct, frozen=True):
    name: str
    bundle_id: str
    product_type: str
    version: str


class _Record(msgspec.Struct):
    uuid: UUID
    type: str
    start: datetime
    end: datetime
    source: _Source
    value: float | None = None
    unit: str = ""
    category: int | None = None
    metadata: dict[str, int] | None = None


_DECODER = msgspec.json.Decoder(list[_Record])


def store_chunk(
    payload: bytes, *, user_id: int, batch_id: int, type_ids: Mapping[str, int], source_ids: Mapping[str, int]
) -> None:
    """``payload`` is a JSON array of records; ``source_ids`` by product type."""
    rows = [
        HealthSample(
            user_id=user_id,
            batch_id=batch_id,
            uuid=each.uuid,
            fingerprint=fingerprint(each),
            rank=0,
            type_id=type_ids[each.type],
            start=each.start,
            end=each.end,
            value=each.value,
            category=each.category,
            zone_basis="O",
            source_id=source_ids[each.source.product_type],
            metadata=each.metadata,
        )
        for each in _DECODER.decode(payload)
    ]
    with transaction.atomic():
        HealthSample.objects.bulk_create(rows, ignore_conflicts=True, batch_size=1000)


def fingerprint(record: _Record) -> UUID:
    text = f"{record.type}|{record.start}|{record.end}|{record.value}|{record.category}"
    return UUID(bytes=blake2b(text.encode(), digest_size=16).digest())
