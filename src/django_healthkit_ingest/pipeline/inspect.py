"""What a body is and what would become of it, without storing anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django_healthkit_ingest.conf import find_format, get_registry, get_settings
from django_healthkit_ingest.core.encodings import decode_body
from django_healthkit_ingest.core.formats.envelope import join
from django_healthkit_ingest.core.samples import Deletion, Parsed, Rejected, Sample, Section, Statistics

GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """``index`` counts in the array of the request that is named by ``section``."""

    section: str
    index: int
    field: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """``received`` = samples + deletions + statistics + rejected; each counts records.

    ``types`` counts the samples and statistics by identifier; a record with statistics of two types is in both.
    ``members`` are the samples inside correlations, which are no records of their own and are in no other count.
    """

    format: str
    received: int
    samples: int
    deletions: int
    statistics: int
    members: int
    rejected: int
    unknown_types: Mapping[str, int]
    types: Mapping[str, int]
    rejections: Sequence[Rejection]
    warnings: Sequence[str]


def inspect(body: bytes, *, format: str | None = None, time_zone: str | None = None) -> Inspection:
    """Read a body as accept and the workers would. gzip is recognised by its first bytes.

    Raises what ``accept`` raises for a body that can never succeed; size is limited after decompression only.
    """
    encoding = "gzip" if body.startswith(GZIP_MAGIC) else None
    decoded = decode_body(body, content_encoding=encoding, max_bytes=get_settings().max_decoded_bytes)
    wire = find_format(decoded, name=format)
    envelope = wire.split(decoded, time_zone=time_zone)
    outcomes: list[tuple[Section, Parsed]] = []
    for section, raws in envelope.records.items():
        parsed = wire.parse(
            join(raws), section=section, first_index=0, time_zone=envelope.time_zone, registry=get_registry()
        )
        outcomes += ((section, each) for each in parsed)
    samples = [each for _, each in outcomes if isinstance(each, Sample)]
    statistics = [each for _, each in outcomes if isinstance(each, Statistics)]
    deletions = sum(isinstance(each, Deletion) for _, each in outcomes)
    rejections = [
        Rejection(section=section.value, index=each.index, field=each.field, code=each.code)
        for section, each in outcomes
        if isinstance(each, Rejected)
    ]
    types = Counter(sample.identifier for sample in samples)
    unknown = Counter(sample.identifier for sample in samples if not sample.known)
    for record in statistics:
        types.update({value.identifier for value in record.values})
        unknown.update({value.identifier for value in record.values if not value.known})
    return Inspection(
        format=wire.name,
        received=len(outcomes),
        samples=len(samples),
        deletions=deletions,
        statistics=len(statistics),
        members=sum(len(sample.members) for sample in samples),
        rejected=len(rejections),
        unknown_types=dict(unknown),
        types=dict(types),
        rejections=rejections,
        warnings=envelope.warnings,
    )
