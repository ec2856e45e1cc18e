"""A body becomes a batch and its chunks, committed before anybody is told so."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from django.db import DataError, IntegrityError, transaction
from django.utils import timezone

from django_healthkit_ingest.conf import canonical, find_format, get_registry, get_settings
from django_healthkit_ingest.core.encodings import compress, decode_body
from django_healthkit_ingest.core.formats.base import Envelope
from django_healthkit_ingest.core.formats.bounds import check_bulk, check_count
from django_healthkit_ingest.core.formats.envelope import join
from django_healthkit_ingest.core.samples import Section
from django_healthkit_ingest.core.states import Lane
from django_healthkit_ingest.exceptions import (
    BodyTooLarge,
    FieldError,
    IdempotencyMismatch,
    InvalidEnvelope,
)
from django_healthkit_ingest.models import ImportBatch, ImportChunk, database
from django_healthkit_ingest.pipeline.erasing import check_not_erasing
from django_healthkit_ingest.pipeline.failures import accept_crashed
from django_healthkit_ingest.pipeline.finish import finish
from django_healthkit_ingest.pipeline.pressure import check_backlog, is_clear
from django_healthkit_ingest.pipeline.statements import insert_chunks
from django_healthkit_ingest.pipeline.switches import check_intake
from django_healthkit_ingest.queues import DISPATCH_BATCH, enqueue, in_this_context
from django_healthkit_ingest.signals import batch_accepted

MAX_KEY = 255

CHUNK_BYTES = 8 * 2**20
"""Of a chunk's records as they came: what a worker holds in memory does not grow with how large a record is."""


def accept(
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
    admit: Callable[[ImportBatch], object] | None = None,
) -> ImportBatch:
    """Check a body's envelope and commit it as one batch; the records themselves are read by the workers.

    ``body`` is what the phone sent, ``content_encoding`` as in HTTP (``gzip`` or none), ``device`` the id of the app's
    installation. What is None is taken from the envelope; the same value twice but different is refused. With an
    ``idempotency_key`` this user has used before, within ``IDEMPOTENCY_TTL``, the batch that exists is answered and
    nothing is stored. ``admit`` sees a new batch before it is stored, and may raise.

    After the commit one message is sent, waiting for the broker no longer than ``PUBLISH_TIMEOUT``; if it does not get
    out, the rows are the outbox and sweep sends it. Called inside a transaction of the caller's, all of that, and
    durability itself, begin with the caller's commit: do not answer 202 before it.

    Raises InvalidBody's children for bytes that can never succeed, IdempotencyMismatch for a used key with another
    body, and TryLater's children while intake is paused or the workers are too far behind; a repeat is answered even
    then, unless intake is paused. Nothing is stored when it raises.
    """
    check_key(idempotency_key)
    clear = is_clear(user_id=user.pk, key=idempotency_key)
    if not clear:
        check_intake()
    limits = get_settings()
    if len(body) > limits.max_body_bytes:
        raise BodyTooLarge("Send fewer records in one request.")
    decoded = decode_body(body, content_encoding=content_encoding, max_bytes=limits.max_decoded_bytes)
    digest = hashlib.sha256(decoded).hexdigest()
    if not clear:
        known = replayed(user_id=user.pk, key=idempotency_key, digest=digest)
        if known is not None:
            return known
        check_not_erasing(user_id=user.pk)
        check_backlog(user_id=user.pk)
    check_bulk(decoded)
    wire = find_format(decoded, name=format)
    envelope = wire.split(decoded, time_zone=time_zone)
    received = sum(map(len, envelope.records.values()))
    check_count(received)
    device_id = agree("device", device, (envelope.device or {}).get("id")) or ""
    batch = ImportBatch(
        user_id=user.pk,
        format=wire.name,
        lane=agree("lane", lane, envelope.lane) or Lane.LIVE,
        time_zone=envelope.time_zone or "",
        device_id=device_id,
        device=dict(envelope.device or {}),
        client=dict(client or envelope.client or {}),
        idempotency_key=idempotency_key,
        body_sha256=digest,
        sequence=envelope.sequence,
        anchors=_by_type(envelope.anchors) if envelope.anchors else None,
        windows=[{**window, "types": sorted(map(canonical, window["types"]))} for window in envelope.windows],
        warnings=[*envelope.warnings, *_unusable(envelope, device_id=device_id)],
        received=received,
        created_at=timezone.now(),
    )
    if admit is not None:
        admit(batch)
    return _commit(batch, envelope, chunk_size=limits.chunk_size)


def _unusable(envelope: Envelope, *, device_id: str) -> Iterator[str]:
    """Anchors and windows are an installation's: without its id nobody can say whose they are.

    A type nobody knows may be a new one of Apple's, or a dialect's name, and then its window is of nothing.
    """
    if envelope.anchors and not device_id:
        yield "anchors_without_device"
    if envelope.windows and not device_id:
        yield "windows_without_device"
    registry = get_registry()
    if any(name not in registry for window in envelope.windows for name in window["types"]):
        yield "window_of_unknown_type"


def _by_type(anchors: Mapping[str, str]) -> dict[str, str]:
    """Under the types' identifiers. Raises InvalidEnvelope if two names of one type have different anchors."""
    by_type: dict[str, str] = {}
    for name, anchor in anchors.items():
        if by_type.setdefault(canonical(name), anchor) != anchor:
            raise InvalidEnvelope(
                "'anchors' has two anchors for one type, under two of its names; send one.",
                errors=(FieldError(pointer="/anchors", code="ambiguous_anchor", detail="Send one anchor per type."),),
            )
    return by_type


def check_key(key: str | None) -> None:
    """Raises InvalidEnvelope."""
    if key is not None and (not 0 < len(key) <= MAX_KEY or "\0" in key):
        raise InvalidEnvelope(f"The idempotency key must have 1 to {MAX_KEY} characters, and none of them U+0000.")


def agree(name: str, outside: str | None, inside: Any) -> str | None:
    """One value from two places. Raises InvalidEnvelope when they differ or the value cannot be one."""
    if outside is not None and inside is not None and outside != inside:
        raise InvalidEnvelope(f"{name!r} is given in the body and out of it, and they differ; send it once.")
    value = outside if outside is not None else inside
    if name == "lane" and value not in (None, *Lane):
        raise InvalidEnvelope(f"'lane' must be one of {', '.join(Lane)}.")
    if name == "device" and value is not None and (not isinstance(value, str) or len(value) > 128 or "\0" in value):
        raise InvalidEnvelope("The device's id must be a string of at most 128 characters.")
    return value


def _commit(batch: ImportBatch, envelope: Envelope, *, chunk_size: int) -> ImportBatch:
    using = database()
    chunks = [
        ImportChunk(
            batch=batch,
            user_id=batch.user_id,
            lane=batch.lane,
            index=index,
            section=section,
            first_index=first_index,
            received=len(raws),
            payload=compress(join(raws)),
        )
        for index, (section, first_index, raws) in enumerate(_slices(envelope, size=chunk_size))
    ]
    batch.chunk_count = len(chunks)
    try:
        with transaction.atomic(using=using):
            batch.save(using=using, force_insert=True)
            for chunk in chunks:
                chunk.batch_id = batch.pk
            insert_chunks(chunks, using=using)
            transaction.on_commit(in_this_context(lambda: _after(batch)), using=using, robust=True)
    except (IntegrityError, DataError) as error:
        twin = replayed(user_id=batch.user_id, key=batch.idempotency_key, digest=batch.body_sha256)
        if twin is None:
            raise accept_crashed(error) from None
        return twin
    return batch


def _slices(envelope: Envelope, *, size: int) -> Iterator[tuple[Section, int, list[msgspec.Raw]]]:
    for section, raws in envelope.records.items():
        for first_index in range(0, len(raws), size):
            for place, part in _bounded(raws[first_index : first_index + size]):
                yield section, first_index + place, part


def _bounded(raws: list[msgspec.Raw]) -> Iterator[tuple[int, list[msgspec.Raw]]]:
    """Halved until each part is small enough, or one record."""
    if len(raws) == 1 or sum(map(len, raws)) <= CHUNK_BYTES:
        yield 0, raws
        return
    half = len(raws) // 2
    yield from _bounded(raws[:half])
    yield from ((half + place, part) for place, part in _bounded(raws[half:]))


def _after(batch: ImportBatch) -> None:
    batch_accepted.send_robust(sender=ImportBatch, batch=batch)
    if not batch.chunk_count:
        finish(batch_id=batch.pk)
    elif not enqueue(DISPATCH_BATCH, user_id=batch.user_id, lane=batch.lane, batch_id=batch.pk):
        _wait(batch)


def _wait(batch: ImportBatch) -> None:
    """No message got out: unless something of this user's is waiting already, the first chunk does from now on.

    While the broker is away nothing is dispatched, and the backlog would look empty.
    """
    chunks = ImportChunk.objects.using(database())
    mine = chunks.filter(user_id=batch.user_id, lane=batch.lane).unfinished()
    if not mine.filter(due_at__isnull=False).exists():
        now = timezone.now()
        chunks.filter(pk__in=list(mine.waiting(now=now).values_list("pk", flat=True)[:1])).mark_due(now=now)


def replayed(*, user_id: Any, key: str | None, digest: str) -> ImportBatch | None:
    """The batch this user's key already made. Raises IdempotencyMismatch if its body was another one."""
    if key is None:
        return None
    known = known_by_key(user_id=user_id, key=key)
    if known is not None and known.body_sha256 != digest:
        raise IdempotencyMismatch("Use a new key for a new body, or send the first body again.")
    if known is not None:
        known.replayed = True
    return known


def known_by_key(*, user_id: Any, key: str) -> ImportBatch | None:
    """A key that is older than ``IDEMPOTENCY_TTL`` is given free, and means nothing any more."""
    mine = ImportBatch.objects.using(database()).filter(user_id=user_id, idempotency_key=key)
    known = mine.first()
    oldest = timezone.now() - get_settings().idempotency_ttl
    if known is None or known.created_at >= oldest:
        return known
    mine.release_key(created_before=oldest)
    return mine.first()  # another request may have used it anew
