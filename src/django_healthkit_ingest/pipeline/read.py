"""A chunk's payload, record by record, but for those that were set aside and those that were withheld."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import msgspec

from django_healthkit_ingest.conf import get_format, get_registry
from django_healthkit_ingest.core.blanks import Blank, find_blanks
from django_healthkit_ingest.core.encodings import decompress
from django_healthkit_ingest.core.formats.envelope import join
from django_healthkit_ingest.core.rejections import reasons
from django_healthkit_ingest.core.samples import Parsed, Rejected, Section, Withheld
from django_healthkit_ingest.exceptions import PayloadUnavailable
from django_healthkit_ingest.models import ImportChunk


def read(chunk: ImportChunk) -> Iterator[Parsed]:
    """One outcome per record; what is set aside is rejected as ``poison`` without being looked at, and what was blanked
    is withheld, whatever the format makes of what stands in its place.

    Raises PayloadUnavailable, and UnknownFormat for a format that the host has taken away.
    """
    if chunk.payload is None:
        raise PayloadUnavailable("The payload was purged; only the phone can send these records again.")
    wire = get_format(chunk.batch.format)
    records = decompress(bytes(chunk.payload))
    blanks = {chunk.first_index + place: blank for place, blank in find_blanks(records).items()}
    for first_index, part in _parts(records, chunk=chunk):
        outcomes = wire.parse(
            part,
            section=Section(chunk.section),
            first_index=first_index,
            time_zone=chunk.batch.time_zone or None,
            registry=get_registry(),
        )
        yield from map(partial(_unless_blank, blanks=blanks), outcomes) if blanks else outcomes
    for index in chunk.set_aside or ():
        poison = Rejected(index=index, field="", code="poison", detail=reasons()["poison"])
        yield _unless_blank(poison, blanks=blanks)


def _unless_blank(outcome: Parsed, *, blanks: Mapping[int, Blank]) -> Parsed:
    blank = blanks.get(outcome.index)
    return outcome if blank is None else Withheld(index=outcome.index, mixed=blank is Blank.MIXED)


def _parts(records: bytes, *, chunk: ImportChunk) -> Iterator[tuple[int, bytes]]:
    """What lies between the records set aside: the index of the first one, and a JSON array."""
    if not chunk.set_aside:
        yield chunk.first_index, records
        return
    raws = msgspec.json.decode(records, type=list[msgspec.Raw])
    begin = 0
    for index in (*chunk.set_aside, chunk.first_index + len(raws)):
        end = index - chunk.first_index
        if end > begin:
            yield chunk.first_index + begin, join(raws[begin:end])
        begin = end + 1
