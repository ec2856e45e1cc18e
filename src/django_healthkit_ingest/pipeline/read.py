"""A chunk's payload, record by record, but for those that were set aside."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from django_healthkit_ingest.conf import get_format, get_registry
from django_healthkit_ingest.core.encodings import decompress
from django_healthkit_ingest.core.formats.envelope import join
from django_healthkit_ingest.core.rejections import reasons
from django_healthkit_ingest.core.samples import Parsed, Rejected, Section
from django_healthkit_ingest.exceptions import PayloadUnavailable
from django_healthkit_ingest.models import ImportChunk


def read(chunk: ImportChunk) -> Iterator[Parsed]:
    """One outcome per record; what is set aside is rejected as ``poison`` without being looked at.

    Raises PayloadUnavailable, and UnknownFormat for a format that the host has taken away.
    """
    if chunk.payload is None:
        raise PayloadUnavailable("The payload was purged; only the phone can send these records again.")
    wire = get_format(chunk.batch.format)
    for first_index, records in _parts(decompress(bytes(chunk.payload)), chunk=chunk):
        yield from wire.parse(
            records,
            section=Section(chunk.section),
            first_index=first_index,
            time_zone=chunk.batch.time_zone or None,
            registry=get_registry(),
        )
    for index in chunk.set_aside or ():
        yield Rejected(index=index, field="", code="poison", detail=reasons()["poison"])


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
