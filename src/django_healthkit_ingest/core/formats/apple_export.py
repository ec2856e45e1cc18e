"""The export of Apple's Health app: ``export.zip``, or the ``export.xml`` in it, of any size and of all versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from io import BytesIO
from typing import Any, BinaryIO, ClassVar

import msgspec

from django_healthkit_ingest.core.formats.apple_export_file import read_export, recognises
from django_healthkit_ingest.core.formats.apple_export_records import record_reader
from django_healthkit_ingest.core.formats.base import Capabilities, Envelope, Portion
from django_healthkit_ingest.core.formats.bounds import check_count
from django_healthkit_ingest.core.formats.records import parse_records
from django_healthkit_ingest.core.registry import SampleTypeRegistry
from django_healthkit_ingest.core.rejections import rejection
from django_healthkit_ingest.core.samples import Parsed, Sample, Section, Statistics
from django_healthkit_ingest.core.timestamps import find_zone
from django_healthkit_ingest.exceptions import BodyTooLarge

MAX_SPLIT_BYTES = 128 * 2**20
"""Of all records of one body that is split in memory; a file has no such limit."""
_PORTION = 1000


class AppleExportFormat:
    name: ClassVar[str] = "apple_export"
    media_types: ClassVar[frozenset[str]] = frozenset({"application/zip", "application/xml", "text/xml"})
    fidelity: ClassVar[int] = 20
    capabilities: ClassVar[Capabilities] = Capabilities(
        uuids=False, deletions=False, offsets=True, precision=timedelta(seconds=1)
    )
    keep_personal: ClassVar[bool] = False
    """Whether the person's characteristics (date of birth, sex, blood type, ..) are read, too."""

    def recognises(self, body: bytes) -> bool:
        return recognises(BytesIO(body))

    def split(self, body: bytes, *, time_zone: str | None) -> Envelope:
        """Raises BodyTooLarge for more records than fit into memory."""
        records: dict[Section, list[msgspec.Raw]] = {Section.SAMPLES: [], Section.STATISTICS: []}
        room = MAX_SPLIT_BYTES
        for portion in self.read_file(BytesIO(body), position={}, size=_PORTION):
            records[portion.section] += portion.records
            check_count(sum(map(len, records.values())))
            room -= sum(map(len, portion.records))
            if room < 0:
                raise BodyTooLarge("the export is too large for one request when unpacked; send it as an upload")
        return Envelope(records=records, time_zone=time_zone)

    def read_file(self, file: BinaryIO, *, position: Mapping[str, Any], size: int) -> Iterator[Portion]:
        return read_export(file, position=position, size=size, keep_personal=self.keep_personal)

    def parse(
        self,
        records: bytes,
        *,
        section: Section,
        first_index: int,
        time_zone: str | None,
        registry: SampleTypeRegistry,
    ) -> Iterator[Parsed]:
        declared_zone = find_zone(time_zone) if time_zone is not None else None
        read = record_reader(registry=registry, fidelity=self.fidelity, declared_zone=declared_zone)
        return parse_records(
            records,
            section=section,
            first_index=first_index,
            read_sample=read,
            read_statistic=lambda index, raw: _only_statistics(read(index, raw)),
            names={},
        )


def _only_statistics(outcome: Sample | Statistics) -> Statistics:
    if isinstance(outcome, Statistics):
        return outcome
    raise rejection("value_unknown", field="element")
