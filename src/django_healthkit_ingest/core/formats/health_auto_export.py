"""What the app Health Auto Export posts to a REST API (help.healthyapps.dev/en/health-auto-export).

Mostly aggregates, which become statistics and never samples. Its names are data: ``catalogue/health_auto_export.json``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import ClassVar

import msgspec

from django_healthkit_ingest.core.formats.base import Capabilities, Envelope
from django_healthkit_ingest.core.formats.body import check_text, guarded
from django_healthkit_ingest.core.formats.envelope import check_zones, peek, require_offsets
from django_healthkit_ingest.core.formats.faults import envelope_fault, invalid_envelope
from django_healthkit_ingest.core.formats.health_auto_export_body import is_one, read_body
from django_healthkit_ingest.core.formats.health_auto_export_dates import offset_of, read_date
from django_healthkit_ingest.core.formats.health_auto_export_metrics import read_statistics
from django_healthkit_ingest.core.formats.health_auto_export_samples import read_sample
from django_healthkit_ingest.core.formats.records import NULL, parse_records
from django_healthkit_ingest.core.json_text import UNREADABLE
from django_healthkit_ingest.core.registry import SampleTypeRegistry
from django_healthkit_ingest.core.samples import Parsed, Section
from django_healthkit_ingest.core.timestamps import find_zone, is_naive
from django_healthkit_ingest.exceptions import MalformedBody


class _Outer(msgspec.Struct, frozen=True):
    data: msgspec.Raw = NULL


class _Dates(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    date: str | None = None
    start: str | None = None
    end: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    sleep_start: str | None = None
    sleep_end: str | None = None
    in_bed_start: str | None = None
    in_bed_end: str | None = None


_OUTER = msgspec.json.Decoder(_Outer)
_DATES = msgspec.json.Decoder(_Dates)
_OWN_DATES = {"date": "date", "start": "start", "end": "end", "start_date": "startDate", "end_date": "endDate"}
_OTHERS = frozenset({"provider", "samples"})
"""Members that say an outer object with ``data`` is another format's."""


class HealthAutoExportFormat:
    name: ClassVar[str] = "health_auto_export"
    media_types: ClassVar[frozenset[str]] = frozenset()
    fidelity: ClassVar[int] = 10
    capabilities: ClassVar[Capabilities] = Capabilities(
        uuids=False, deletions=False, offsets=True, precision=timedelta(seconds=1)
    )

    def recognises(self, body: bytes) -> bool:
        seen = peek(body)
        if seen.format is not None:
            return seen.format == self.name
        if "data" not in seen.keys or seen.keys & _OTHERS:
            return False
        try:
            return is_one(guarded(_OUTER.decode, check_text(body)).data)
        except (MalformedBody, msgspec.ValidationError):
            return False

    def split(self, body: bytes, *, time_zone: str | None) -> Envelope:
        """Points of metrics are statistics. Samples are unaggregated sleep, then the other arrays in the order of
        ``health_auto_export_body.ARRAYS``, then those nobody knows; a record's index counts through its section.
        """
        batch = read_body(check_text(body))
        errors = check_zones(inside=None, outside=time_zone)
        if batch.format not in (None, self.name):
            errors.append(envelope_fault("/format", "format_mismatch"))
        if errors:
            raise invalid_envelope(errors)
        if time_zone is None:
            require_offsets(batch.arrays, naive_fields=_naive_fields)
        sections = {Section.SAMPLES: batch.stages + batch.others, Section.STATISTICS: batch.points}
        return Envelope(
            records={section: raws for section, raws in sections.items() if raws},
            time_zone=time_zone,
            client={"name": "health-auto-export"},
            warnings=batch.warnings,
        )

    def parse(
        self,
        records: bytes,
        *,
        section: Section,
        first_index: int,
        time_zone: str | None,
        registry: SampleTypeRegistry,
    ) -> Iterator[Parsed]:
        zone = find_zone(time_zone) if time_zone is not None else None
        return parse_records(
            records,
            section=section,
            first_index=first_index,
            read_sample=partial(read_sample, registry=registry, fidelity=self.fidelity, declared_zone=zone),
            read_statistic=partial(read_statistics, registry=registry, fidelity=self.fidelity, declared_zone=zone),
            names={},
        )


def _naive_fields(raw: msgspec.Raw) -> list[str]:
    """A mere day takes the offset of the night it is about."""
    try:
        dates = _DATES.decode(raw)
    except UNREADABLE:
        return []  # the record will be rejected for it
    sent = ((wire, getattr(dates, ours)) for ours, wire in _OWN_DATES.items())
    found = [wire for wire, text in sent if text and is_naive(read_date(text))]
    nights = (dates.sleep_start, dates.in_bed_start, dates.sleep_end, dates.in_bed_end)
    return [] if found == ["date"] and any(offset_of(read_date(text or "")) for text in nights) else found
