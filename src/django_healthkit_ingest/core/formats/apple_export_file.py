"""A whole export, file by file: the main document, then routes, then electrocardiograms; resumable at each record."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

import msgspec

from django_healthkit_ingest.core.formats.apple_export_archive import Archive, is_zip
from django_healthkit_ingest.core.formats.apple_export_ecg import MAX_TABLE_BYTES, read_electrocardiogram
from django_healthkit_ingest.core.formats.apple_export_gpx import MAX_ROUTE_BYTES, read_route
from django_healthkit_ingest.core.formats.apple_export_xml import HEAD_BYTES, Head, fault, read_blocks, read_head
from django_healthkit_ingest.core.formats.base import Portion
from django_healthkit_ingest.core.json_text import UNREADABLE
from django_healthkit_ingest.core.normalise import MAX_DETAILS_BYTES
from django_healthkit_ingest.core.samples import Section
from django_healthkit_ingest.exceptions import MalformedBody

MAX_PORTION_BYTES = 8 * 2**20
"""A portion ends early after a record that fills it, so that a thousand long routes are never in memory together."""
MAX_RESOURCE_BYTES = MAX_DETAILS_BYTES - 64 * 2**10
"""Of the FHIR resource of a clinical record, which is kept within the record."""

_XML, _ROUTES, _TABLES, _DONE = "xml", "routes", "ecg", "done"
_STATISTICS = frozenset({"ActivitySummary", "Me"})
_ENCODER = msgspec.json.Encoder()
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)


class _Step(NamedTuple):
    """One record and where reading goes on after it."""

    section: Section
    record: msgspec.Raw
    stage: str
    place: int


def read_export(
    file: BinaryIO, *, position: Mapping[str, Any], size: int, keep_personal: bool = False
) -> Iterator[Portion]:
    """See ``FileFormat.read_file``."""
    records: list[msgspec.Raw] = []
    filled = 0
    last: _Step | None = None
    for step in _read_steps(file, position=position, keep_personal=keep_personal):
        if last is not None and (
            len(records) >= size or filled >= MAX_PORTION_BYTES or step.section is not last.section
        ):
            yield _portion(last, records)
            records, filled = [], 0
        records.append(step.record)
        filled += len(step.record)
        last = step
    if last is not None:
        yield _portion(last, records)


def recognises(file: BinaryIO) -> bool:
    try:
        _open(file)
    except MalformedBody:
        return False
    return True


def _portion(last: _Step, records: list[msgspec.Raw]) -> Portion:
    return Portion(section=last.section, records=records, position={"stage": last.stage, "place": last.place})


def _open(file: BinaryIO) -> tuple[Archive | None, Head]:
    file.seek(0)
    begin = file.read(HEAD_BYTES)
    if is_zip(begin):
        archive = Archive(file)
        return archive, archive.head
    head = read_head(begin)
    if head is None:
        raise MalformedBody(
            "no Apple Health export in this file; send the export.zip of the Health app, or the export.xml in it"
        )
    return None, head


def _read_steps(file: BinaryIO, *, position: Mapping[str, Any], keep_personal: bool) -> Iterator[_Step]:
    archive, head = _open(file)
    stage, place = position.get("stage", _XML), position.get("place", head.body)
    if stage == _XML:
        if archive is not None:
            read = archive.open_document(offset=place)
        else:
            file.seek(place)
            read = file.read
        yield from _read_document(read, offset=place, head=head, archive=archive, keep_personal=keep_personal)
        stage, place = _ROUTES, 0
    if archive is None:
        return
    if stage == _ROUTES:
        yield from _read_routes(archive, first=place)
        stage, place = _TABLES, 0
    if stage == _TABLES:
        yield from _read_tables(archive, first=place)


def _read_document(
    read: Callable[[int], bytes], *, offset: int, head: Head, archive: Archive | None, keep_personal: bool
) -> Iterator[_Step]:
    for block in read_blocks(read, offset=offset, head=head):
        following = [element.start for element in block.elements[1:]]
        for element, end in zip(block.elements, [*following, block.end], strict=False):
            record = element.record
            if element.name == "ExportDate" or (element.name == "Me" and not keep_personal):
                continue
            if element.name == "ClinicalRecord" and archive is not None:
                record = _with_resource(record, archive)
            elif element.name == "Me":
                record = _with(record, "exportDate", _ENCODER.encode(head.export_date))
            section = Section.STATISTICS if element.name in _STATISTICS else Section.SAMPLES
            yield _Step(section, record, _ROUTES, 0) if end is None else _Step(section, record, _XML, end)


def _read_routes(archive: Archive, *, first: int) -> Iterator[_Step]:
    for place, path in enumerate(archive.routes[first:], first + 1):
        gpx = archive.read(path, max_bytes=MAX_ROUTE_BYTES)
        route = read_route(path, gpx) if gpx is not None else None
        record = msgspec.Raw(_ENCODER.encode(route)) if route is not None else fault("malformed_file")
        yield _Step(Section.SAMPLES, record, _ROUTES, place)


def _read_tables(archive: Archive, *, first: int) -> Iterator[_Step]:
    for place, path in enumerate(archive.tables[first:], first + 1):
        table = archive.read(path, max_bytes=MAX_TABLE_BYTES)
        electrocardiogram = read_electrocardiogram(path, table) if table is not None else None
        record = msgspec.Raw(_ENCODER.encode(electrocardiogram)) if electrocardiogram else fault("malformed_file")
        yield _Step(Section.SAMPLES, record, _TABLES, place)


def _with_resource(record: msgspec.Raw, archive: Archive) -> msgspec.Raw:
    """The clinical record and the FHIR resource that it names; without it if there is no such file."""
    path = _OBJECT.decode(record).get("resourceFilePath")
    resource = archive.read(_TEXT.decode(path), max_bytes=MAX_RESOURCE_BYTES) if path is not None else None
    if resource is None:
        return record
    resource = resource.removeprefix(BOM_UTF8)
    try:
        _OBJECT.decode(resource)
    except UNREADABLE:
        return record
    return _with(record, "resource", resource)


def _with(record: msgspec.Raw, name: str, value: bytes) -> msgspec.Raw:
    return msgspec.Raw(_ENCODER.encode({**_OBJECT.decode(record), name: msgspec.Raw(value)}))
