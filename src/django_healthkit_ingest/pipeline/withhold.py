"""Records of types that are switched off leave before anything is stored, and what was received of them is blanked.

Some records are several things at once. A correlation is kept whole or not at all, so one member that is switched off
takes it along; a record of statistics likewise. A record that cannot be read does not say its type for certain: it goes
if any text in it is a name of a type that is switched off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from django.db import transaction
from django.utils import timezone

from django_healthkit_ingest.conf import get_registry
from django_healthkit_ingest.core.blanks import Blank, blank_out, find_blanks
from django_healthkit_ingest.core.encodings import compress, decompress
from django_healthkit_ingest.core.formats.records import split_array
from django_healthkit_ingest.core.samples import Parsed, Rejected, Sample, Statistics, Withheld
from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.core.type_names import mentions, names_of
from django_healthkit_ingest.exceptions import HealthKitIngestError, MalformedBody, PayloadUnavailable
from django_healthkit_ingest.models import ImportBatch, ImportChunk, database
from django_healthkit_ingest.pipeline.consent import identify
from django_healthkit_ingest.pipeline.read import read
from django_healthkit_ingest.pipeline.store.locks import Scope, lock_user
from django_healthkit_ingest.querysets.chunks import ATTEMPTS_EXHAUSTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Sifted:
    """A chunk's records without those withheld; these by their places in the request's array."""

    kept: Sequence[Parsed]
    withheld: int
    fresh: Mapping[int, Blank]
    """Those of the withheld that are still in the payload."""


def sift(parsed: Iterable[Parsed], *, chunk: ImportChunk, types: frozenset[str]) -> Sifted:
    """``parsed`` is what ``read`` says of the chunk."""
    kept: list[Parsed] = []
    unread: list[Rejected] = []
    fresh: dict[int, Blank] = {}
    blanked = 0
    for each in parsed:
        if isinstance(each, Withheld):
            blanked += 1
        elif isinstance(each, Rejected) and types:
            unread.append(each)
        elif types and (blank := _blank(each, types)) is not None:
            fresh[each.index] = blank
        else:
            kept.append(each)
    if unread:
        named = _named(chunk, [each.index for each in unread], types)
        fresh |= named
        kept += (each for each in unread if each.index not in named)
    return Sifted(kept=kept, withheld=blanked + len(fresh), fresh=fresh)


def kept_samples(parsed: Iterable[Parsed], *, types: frozenset[str]) -> Iterator[Sample]:
    return (each for each in parsed if isinstance(each, Sample) and _blank(each, types) is None)


def blanked_payload(chunk: ImportChunk, fresh: Mapping[int, Blank]) -> bytes:
    assert chunk.payload is not None
    places = {index - chunk.first_index: blank for index, blank in fresh.items()}
    return compress(blank_out(decompress(bytes(chunk.payload)), places))


def redact(*, chunk_id: int, identifiers: frozenset[str]) -> int:
    """Blank a chunk's records of these types, whatever the chunk's state; answers how many records went.

    A worker that is at the chunk has read them already: its claim is taken away, so it keeps nothing, and the chunk is
    PENDING and unsent, without an attempt. Books and rejections of an ended chunk stay what they were, for they hold no
    record, but its ``unknown_types`` forget these types. What today's code cannot read is told by its texts; a payload
    that is damaged goes as a whole.
    """
    using = database()
    chunks = ImportChunk.objects.using(using).filter(pk=chunk_id)
    user_id = chunks.values_list("user_id", flat=True).first()
    if user_id is None:
        return 0
    with transaction.atomic(using=using):
        lock_user(user_id, scope=Scope.SAMPLES, using=using)
        chunk = chunks.select_for_update(of=("self",)).select_related("batch").first()
        if chunk is None or chunk.payload is None:
            return 0
        types = frozenset(map(identify, identifiers))
        _forget_counts(chunk, types, using=using)
        try:
            fresh = _find(chunk, types)
        except (PayloadUnavailable, MalformedBody):
            gone, payload = chunk.received, None
        else:
            gone, payload = len(fresh), blanked_payload(chunk, fresh) if fresh else chunk.payload
        if gone:
            chunks.update(payload=payload)
            chunks.take_back(now=timezone.now())
        return gone


def _blank(record: Parsed, types: frozenset[str]) -> Blank | None:
    found: frozenset[str] = frozenset()
    if isinstance(record, Sample):
        found = frozenset((record.identifier, *(member.identifier for member in record.members)))
    elif isinstance(record, Statistics):
        found = frozenset(value.identifier for value in record.values)
    if found.isdisjoint(types):
        return None
    return Blank.OWN if found <= types else Blank.MIXED


def _find(chunk: ImportChunk, types: frozenset[str]) -> Mapping[int, Blank]:
    everything = range(chunk.first_index, chunk.first_index + chunk.received)
    if chunk.status == Status.FAILED and chunk.error_code == ATTEMPTS_EXHAUSTED:
        return _named(chunk, everything, types)  # whoever reads it may die of it
    try:
        return sift(read(chunk), chunk=chunk, types=types).fresh
    except PayloadUnavailable:
        raise
    except HealthKitIngestError:
        return _named(chunk, everything, types)


def _named(chunk: ImportChunk, indexes: Iterable[int], types: frozenset[str]) -> dict[int, Blank]:
    """Those of the records in whose texts one of the types is named."""
    assert chunk.payload is not None
    records = decompress(bytes(chunk.payload))
    raws: Sequence[msgspec.Raw] = split_array(records)
    blanks = find_blanks(records)
    registry = get_registry()
    names = frozenset[str]().union(*(names_of(each, format=chunk.batch.format, registry=registry) for each in types))
    places = ((index, index - chunk.first_index) for index in indexes)
    return {
        index: Blank.MIXED
        for index, place in places
        if place < len(raws) and place not in blanks and mentions(raws[place], names)
    }


def _forget_counts(chunk: ImportChunk, types: frozenset[str], *, using: str) -> None:
    if types.isdisjoint(chunk.unknown_types):
        return
    batches = ImportBatch.objects.using(using).filter(pk=chunk.batch_id).select_for_update()
    for rows in (ImportChunk.objects.using(using).filter(pk=chunk.pk), batches):
        for pk, counts in rows.values_list("pk", "unknown_types"):
            left = {name: number for name, number in counts.items() if name not in types}
            rows.model._default_manager.using(using).filter(pk=pk).update(unknown_types=left)
