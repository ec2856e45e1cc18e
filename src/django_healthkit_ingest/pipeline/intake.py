"""What comes through a door: counted against its user's limits, accepted, described. Both doors call this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.files import File

from django_healthkit_ingest.models import ImportBatch
from django_healthkit_ingest.pipeline.accept import accept
from django_healthkit_ingest.pipeline.limits import Allowance, charge
from django_healthkit_ingest.pipeline.status import BatchStatus, describe, describe_new
from django_healthkit_ingest.pipeline.upload import accept_upload


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    status: BatchStatus
    replayed: bool
    """The bytes were here before: the same key, or the same upload."""
    allowances: tuple[Allowance, ...]


def take_body(
    body: bytes,
    *,
    user: Any,
    format: str | None = None,
    content_encoding: str | None = None,
    time_zone: str | None = None,
    device: str | None = None,
    client: Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
    lane: str | None = None,
) -> Taken:
    """``accept`` for a request: its bytes are charged before they are looked at, its records before they are stored.

    Raises what ``accept`` raises, and RateLimited.
    """
    allowances = list(charge(user_id=user.pk, device=device, bytes=len(body)))

    def admit(batch: ImportBatch) -> None:
        allowances.extend(charge(user_id=user.pk, device=batch.device_id or None, records=batch.received))

    batch = accept(
        body,
        user=user,
        format=format,
        content_encoding=content_encoding,
        time_zone=time_zone,
        device=device,
        client=client,
        idempotency_key=idempotency_key,
        lane=lane,
        admit=admit,
    )
    status = describe(batch) if batch.replayed else describe_new(batch)
    return Taken(status=status, replayed=batch.replayed, allowances=tuple(allowances))


def take_file(
    file: File[bytes] | str,
    *,
    user: Any,
    format: str | None = None,
    time_zone: str | None = None,
    device: str | None = None,
    client: Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
    lane: str | None = None,
) -> Taken:
    """``accept_upload`` for a request. How many records a file has is known to nobody yet, so only bytes are charged,
    and those of a token were when they came. Raises what ``accept_upload`` raises, and RateLimited."""
    size = 0 if isinstance(file, str) else file.size
    allowances = charge(user_id=user.pk, device=device, bytes=size)
    batch = accept_upload(
        file,
        user=user,
        format=format,
        time_zone=time_zone,
        device=device,
        client=client,
        idempotency_key=idempotency_key,
        lane=lane,
    )
    return Taken(status=describe(batch), replayed=batch.replayed, allowances=allowances)
