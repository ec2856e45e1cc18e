"""The small tables a sample row points to, upserted in their own transaction before the merge takes any lock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction

from django_healthkit_ingest.conf import get_precedence
from django_healthkit_ingest.core import samples
from django_healthkit_ingest.core.identity import recorder_key, source_key
from django_healthkit_ingest.models import ImportChunk, Source, TypeIdentifier
from django_healthkit_ingest.pipeline.failures import LostClaim
from django_healthkit_ingest.pipeline.store.locks import Scope, lock_user


def type_ids(identifiers: Iterable[str], *, using: str) -> dict[str, int]:
    wanted = sorted(set(identifiers))
    rows = TypeIdentifier.objects.using(using).filter(identifier__in=wanted)
    found = dict(rows.values_list("identifier", "id"))
    missing = [identifier for identifier in wanted if identifier not in found]
    if missing:
        TypeIdentifier.objects.using(using).bulk_create(
            [TypeIdentifier(identifier=identifier) for identifier in missing], ignore_conflicts=True
        )
        found = dict(rows.values_list("identifier", "id"))
    return found


def source_ids(sources: Iterable[samples.Source], *, chunk: ImportChunk, using: str) -> dict[samples.Source, int]:
    """Sources are personal data: new ones are written under the user's lock, and only while the chunk is there.

    Raises LostClaim if the chunk was erased: a source written after that would outlive its user.
    """
    keys: dict[samples.Source, UUID] = {source: source_key(source) for source in set(sources)}
    by_key = {key: source for source, key in sorted(keys.items(), key=lambda item: item[1])}
    rows = Source.objects.using(using).filter(user_id=chunk.user_id, key__in=list(by_key))
    found = dict(rows.values_list("key", "id"))
    missing = [_row(source, key=key, user_id=chunk.user_id) for key, source in by_key.items() if key not in found]
    if missing:
        with transaction.atomic(using=using):
            lock_user(chunk.user_id, scope=Scope.SAMPLES, using=using)
            if not ImportChunk.objects.using(using).filter(pk=chunk.pk).exists():
                raise LostClaim
            _inherit(missing, user_id=chunk.user_id, using=using)
            Source.objects.using(using).bulk_create(missing, ignore_conflicts=True)
        found = dict(rows.values_list("key", "id"))
    return {source: found[key] for source, key in keys.items()}


def _inherit(rows: Sequence[Source], *, user_id: Any, using: str) -> None:
    """A recorder that is known keeps its precedence in a new version: the user may have chosen it."""
    recorders = {row.recorder for row in rows if row.recorder is not None}
    known = Source.objects.using(using).filter(user_id=user_id, recorder__in=recorders).order_by("pk")
    chosen = dict(known.values_list("recorder", "precedence"))
    for row in rows:
        row.precedence = chosen.get(row.recorder, row.precedence)


def _row(source: samples.Source, *, key: UUID, user_id: Any) -> Source:
    device = msgspec.to_builtins(source.device) if source.device is not None else None
    return Source(
        user_id=user_id,
        key=key,
        recorder=recorder_key(source),
        name=source.name,
        bundle_id=source.bundle_id,
        product_type=source.product_type,
        version=source.version,
        system_version=source.system_version,
        device=device,
        precedence=get_precedence()(source),
    )
