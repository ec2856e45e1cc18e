"""What a body is and what would become of it, without storing anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django_healthkit_ingest.conf import find_format, get_registry, get_settings
from django_healthkit_ingest.core.encodings import decode_body
from django_healthkit_ingest.core.formats.envelope import join
from django_healthkit_ingest.core.samples import Deletion, Parsed, Rejected, Sample, Section

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
    """``received`` = samples + deletions + statistics + rejected; ``types`` counts the samples by identifier."""

    format: str
    received: int
    samples: int
    deletions: int
    statistics: int
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
    deletions = sum(isinstance(each, Deletion) for _, each in outcomes)
    rejections = [
        Rejection(section=section.value, index=each.index, field=each.field, code=each.code)
        for section, each in outcomes
        if isinstance(each, Rejected)
    ]
    return Inspection(
        format=wire.name,
        received=len(outcomes),
        samples=len(samples),
        deletions=deletions,
        statistics=len(outcomes) - len(samples) - deletions - len(rejections),
        rejected=len(rejections),
        unknown_types=dict(Counter(sample.identifier for sample in samples if not sample.known)),
        types=dict(Counter(sample.identifier for sample in samples)),
        rejections=rejections,
        warnings=envelope.warnings,
    )
