"""How an export is read: whole or in portions, intact or damaged, always the same records in bounded memory."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_healthkit_ingest.core.formats import apple_export, apple_export_archive, apple_export_elements
from django_healthkit_ingest.core.formats import apple_export_xml as xml
from django_healthkit_ingest.core.formats.apple_export import AppleExportFormat
from django_healthkit_ingest.core.formats.apple_export_file import MAX_PORTION_BYTES
from django_healthkit_ingest.core.formats.base import FileFormat
from django_healthkit_ingest.core.samples import Section
from django_healthkit_ingest.exceptions import BodyTooLarge, MalformedBody
from tests.unit.formats.apple_export_examples import (
    BLOOD_PRESSURE,
    CLINICAL,
    DATES,
    FROM,
    GPX,
    ME,
    STEPS,
    SUMMARY,
    WORKOUT,
    archive,
    document,
    electrocardiogram,
    read,
    whole_archive,
)

FAULT = b'{"element":"","fault":"malformed_element"}'
TOO_LONG = b'{"element":"","fault":"too_long"}'
UNQUOTED = f' <Record type="HKQuantityTypeIdentifierStepCount" {FROM} unit=count {DATES} value="250"/>\n'
UNCLOSED = f' <Workout workoutActivityType="HKWorkoutActivityTypeRunning" {FROM} {DATES}>\n'
STRAY = " </Correlation>\n"


def elements(records: list[tuple[Section, bytes]]) -> list[str]:
    return [json.loads(record)["element"] for _, record in records]


def test_it_is_a_file_format() -> None:
    assert isinstance(AppleExportFormat(), FileFormat)


def test_a_zip_file_is_read_by_content_whatever_its_names() -> None:
    records = read(whole_archive())

    assert elements(records) == [
        "Record", "Correlation", "Workout", "ActivitySummary", "ActivitySummary", "ClinicalRecord", "Record", "Route",
        "Electrocardiogram",
    ]  # fmt: skip
    assert [section for section, _ in records].count(Section.STATISTICS) == 2


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_document_is_the_same_in_and_out_of_a_zip_file(compression: int) -> None:
    body = document(STEPS, WORKOUT, SUMMARY)

    assert read(archive({"a/export.xml": body}, compression=compression)) == read(body)


def test_the_person_is_left_out_unless_the_host_wants_it() -> None:
    class Personal(AppleExportFormat):
        keep_personal = True

    body = document(STEPS)

    assert b"1815" not in b"".join(record for _, record in read(body))
    assert json.loads(read(body, wire=Personal())[0][1]) == {
        "element": "Me",
        "HKCharacteristicTypeIdentifierDateOfBirth": "1815-12-10",
        "HKCharacteristicTypeIdentifierBiologicalSex": "HKBiologicalSexFemale",
        "exportDate": "2026-02-01 09:00:00 +0100",
    }


def test_a_record_has_its_attributes_metadata_and_children() -> None:
    _, workout = read(document(WORKOUT))[0]
    record = json.loads(workout)

    assert record["workoutActivityType"] == "HKWorkoutActivityTypeRunning"
    assert record["metadata"] == {"HKWeatherTemperature": "41 degF"}
    assert [child["element"] for child in record["children"]] == ["WorkoutEvent", "WorkoutStatistics", "WorkoutRoute"]
    assert record["children"][2]["children"] == [{"path": "/workout-routes/route_1.gpx", "element": "FileReference"}]


def test_a_clinical_record_takes_its_resource_along() -> None:
    record = next(json.loads(record) for _, record in read(whole_archive()) if b"ClinicalRecord" in record)

    assert record["resource"]["resourceType"] == "Observation"


@pytest.mark.parametrize("resource", [None, "[1]", "{damaged"])
def test_a_clinical_record_is_kept_without_a_readable_resource(resource: str | None) -> None:
    files: dict[str, str | bytes] = {"export.xml": document(CLINICAL)}
    if resource is not None:
        files["clinical-records/Observation-o1.json"] = resource

    assert "resource" not in json.loads(read(archive(files))[0][1])


def restarted(file: io.BytesIO, sizes: Iterator[int]) -> list[tuple[Section, bytes]]:
    records: list[tuple[Section, bytes]] = []
    position: dict[str, Any] = {}
    while portion := next(AppleExportFormat().read_file(file, position=position, size=next(sizes)), None):
        records += [(portion.section, bytes(record)) for record in portion.records]
        position = json.loads(json.dumps(portion.position))
    return records


PIECES = [
    STEPS, BLOOD_PRESSURE, WORKOUT, SUMMARY, CLINICAL, UNQUOTED, UNCLOSED, STRAY, "\x0b", "stray text\n", "<!-- -->\n",
    " <Record\n", ME, STEPS.replace("250", "2\x005"), STEPS.replace("250", "&#11;"), " <Future type='x'/>\n",
]  # fmt: skip


@settings(deadline=None)
@given(
    pieces=st.lists(st.sampled_from(PIECES), max_size=12),
    end=st.sampled_from(["</HealthData>", "", " <Record type='"]),
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    block=st.sampled_from([50, 300, 2**20]),
    zipped=st.booleans(),
)
def test_neither_restarts_nor_sizes_nor_blocks_change_the_records(
    pieces: list[str], end: str, sizes: list[int], block: int, zipped: bool
) -> None:
    body = document(*pieces, end=end)
    files: dict[str, str | bytes] = {"e.xml": body, "r.gpx": GPX, "bad.gpx": "<gpx", "e.csv": electrocardiogram()}
    file = archive(files) if zipped else io.BytesIO(body)
    whole = read(file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xml, "BLOCK_BYTES", block)
        assert restarted(file, iter(sizes * 100)) == whole


def test_a_position_of_the_end_gives_nothing_more() -> None:
    file = whole_archive()
    *_, last = AppleExportFormat().read_file(file, position={}, size=1000)

    assert not list(AppleExportFormat().read_file(file, position=last.position, size=1000))


@pytest.mark.parametrize("damage", [UNQUOTED, " <Record type=\n", STEPS.replace('="250"/>', "/>")], ids=repr)
def test_a_damaged_element_costs_no_other(damage: str) -> None:
    records = [record for _, record in read(document(STEPS, damage, BLOOD_PRESSURE, STEPS))]

    assert records[1] == FAULT
    assert elements([(Section.SAMPLES, record) for record in records]) == ["Record", "", "Correlation", "Record"]


def test_an_element_that_never_ends_costs_no_other() -> None:
    assert elements(read(document(STEPS, UNCLOSED, BLOOD_PRESSURE, STEPS))) == ["Record", "", "Correlation", "Record"]


def test_a_document_that_breaks_off_says_so() -> None:
    body = document(STEPS, STEPS)

    assert [record for _, record in read(body[:-40])][1:] == [FAULT]
    assert [record for _, record in read(body.removesuffix(b"</HealthData>\n"))][2:] == [FAULT]


def test_a_damaged_zip_member_ends_the_document() -> None:
    steps = [STEPS.replace("250", str(number)) for number in range(20_000)]
    file = archive({"export.xml": document(*steps)}, compression=zipfile.ZIP_STORED)
    whole = file.getvalue()
    damaged = bytearray(archive({"export.xml": document(*steps), "r.gpx": GPX}).getvalue())
    damaged[len(damaged) // 2 : len(damaged) // 2 + 200] = bytes(200)

    records = [record for _, record in read(io.BytesIO(bytes(damaged)))]

    assert len(read(io.BytesIO(whole))) == 20_000
    assert 0 < len(records) < 20_000
    assert FAULT in records
    assert b'"Route"' in records[-1]


@pytest.mark.parametrize(
    ("sent", "member", "value"),
    [
        (STEPS.replace("250", "&#11;25&#x1;"), "value", " 25 "),
        (STEPS.replace("250", "2\x0b5"), "value", "2 5"),
        (STEPS.replace("sourceName=", "source Name="), "sourceName", "Ada’s\u00a0Watch"),
        (STEPS.replace("count", "a & b"), "unit", "a & b"),
        (STEPS.replace("count", "&xxe;"), "unit", "&xxe;"),
        (STEPS.replace("endDate", "startDate"), "endDate", "2026-01-05 08:05:00 +0100"),
        (STEPS.replace('value="250"', 'value="250" value="251"'), "value", "250"),
    ],
    ids=["reference", "control", "blank in name", "ampersand", "entity", "start twice", "attribute twice"],
)
def test_known_damage_is_mended(sent: str, member: str, value: str) -> None:
    (_, record), (_, following) = read(document(sent, STEPS))

    assert json.loads(record)[member] == value
    assert json.loads(following)["value"] == "250"


def test_bytes_that_are_not_utf_8_are_replaced() -> None:
    _, record = read(document(STEPS).replace(b"250", b"2\xff0"))[0]

    assert json.loads(record)["value"] == "2\ufffd0"


@pytest.mark.parametrize("dtd", ["", '<!DOCTYPE HealthData [<!ENTITY a "b"><!ENTITY c SYSTEM "file:///etc/hosts">]>'])
def test_entities_are_never_expanded(dtd: str) -> None:
    _, record = read(document(STEPS.replace("250", "&a;&c;"), dtd=dtd))[0]

    assert json.loads(record)["value"] == "&a;&c;"


def test_a_route_with_entities_is_refused() -> None:
    entity = GPX.replace("<gpx", '<!DOCTYPE gpx [<!ENTITY a "1">]><gpx', 1).replace("34.5", "&a;")
    records = read(archive({"export.xml": document(STEPS), "a.gpx": entity, "b.gpx": GPX}))

    assert records[1][1] == b'{"element":"","fault":"malformed_file"}'
    assert elements(records)[2] == "Route"


@pytest.mark.parametrize(
    "large",
    [
        " <Record>" + "<a/>" * (apple_export_elements.MAX_NODES + 1) + "</Record>\n",
        " <Record>"
        + "<a>" * apple_export_elements.MAX_DEPTH
        + "</a>" * apple_export_elements.MAX_DEPTH
        + "</Record>\n",
        f" <Record value='{'x' * (apple_export_elements.MAX_ELEMENT_BYTES + 1)}'/>\n",
        f" <Record value='{'x' * (3 * apple_export_elements.MAX_ELEMENT_BYTES)}'/>\n",
        f" <Workout>{STEPS * (apple_export_elements.MAX_ELEMENT_BYTES // len(STEPS))} </Workout>\n".replace(
            "\n <Record", "\n  <Record"
        ),
    ],
    ids=["nodes", "deep", "attribute", "endless", "children"],
)
def test_an_element_that_is_too_large_costs_no_other(large: str) -> None:
    assert [record for _, record in read(document(STEPS, large, STEPS))][1:2] == [TOO_LONG]
    assert elements(read(document(STEPS, large, STEPS))) == ["Record", "", "Record"]


def generated(count: int) -> Iterator[bytes]:
    yield document(end="")
    for number in range(count):
        yield STEPS.replace("250", str(number)).encode()
    yield b"</HealthData>\n"


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as members:
        with members.open("apple_health_export/export.xml", "w") as member:
            member.writelines(generated(90_000))
        length = members.infolist()[0].file_size

    with path.open("rb") as file:
        tracemalloc.start()
        count = sum(len(portion.records) for portion in AppleExportFormat().read_file(file, position={}, size=500))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert count == 90_000
    assert peak < 12 * 2**20 < length / 1.7


def test_a_portion_ends_after_what_fills_it() -> None:
    long = STEPS.replace("250", "9" * (MAX_PORTION_BYTES // 4))
    portions = AppleExportFormat().read_file(io.BytesIO(document(long * 9)), position={}, size=1000)

    assert [len(portion.records) for portion in portions] == [4, 4, 1]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"<ClinicalDocument/>",
        b'["<HealthData>"]',
        b"PK\x03\x04",
        archive({}).getvalue(),
        archive({"export_cda.xml": "<ClinicalDocument/>"}).getvalue(),
        archive({"__MACOSX/export.xml": document(STEPS)}).getvalue(),
        whole_archive().getvalue()[:-30],
    ],
    ids=["empty", "json", "cda", "json text", "magic", "empty zip", "cda zip", "macosx", "cut zip"],
)
def test_what_holds_no_export_is_refused_with_the_cure(body: bytes) -> None:
    assert not AppleExportFormat().recognises(body)
    with pytest.raises(MalformedBody, match="send"):
        list(AppleExportFormat().read_file(io.BytesIO(body), position={}, size=10))


def test_exports_are_recognised() -> None:
    assert AppleExportFormat().recognises(document())
    assert AppleExportFormat().recognises(b"\xef\xbb\xbf" + document())
    assert AppleExportFormat().recognises(whole_archive().getvalue())


@pytest.mark.parametrize(("limit", "value"), [("MAX_MEMBERS", 2), ("MAX_DIRECTORY_BYTES", 100)])
def test_a_zip_file_of_too_many_members_is_refused_unread(
    limit: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apple_export_archive, limit, value)

    with pytest.raises(MalformedBody, match="too many members"):
        read(whole_archive())


@pytest.mark.parametrize(
    ("limit", "value"), [("MAX_DOCUMENT_BYTES", 1000), ("MAX_RATIO", 1)], ids=["long document", "bomb"]
)
def test_a_member_beyond_the_limits_is_not_read(limit: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apple_export_archive, limit, value)
    monkeypatch.setattr(apple_export_archive, "RATIO_FREE_BYTES", 0)

    with pytest.raises(MalformedBody, match="no Apple Health export"):
        read(whole_archive())


@settings(deadline=None, max_examples=300)
@given(at=st.integers(0, 10_000), flips=st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 255)), max_size=6))
def test_no_damage_to_a_zip_file_raises_anything_else(at: int, flips: list[tuple[int, int]]) -> None:
    damaged = bytearray(whole_archive().getvalue())
    for place, flip in flips:
        damaged[(at + place) % len(damaged)] ^= flip

    try:
        records = read(io.BytesIO(bytes(damaged)))
    except MalformedBody:
        return

    assert all(isinstance(json.loads(record)["element"], str) for _, record in records)


def test_split_gives_the_records_by_section() -> None:
    envelope = AppleExportFormat().split(document(STEPS, SUMMARY, STEPS), time_zone="Europe/Berlin")

    assert {section: len(records) for section, records in envelope.records.items()} == {
        Section.SAMPLES: 2,
        Section.STATISTICS: 1,
    }
    assert envelope.time_zone == "Europe/Berlin"


def test_split_does_not_unpack_more_than_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apple_export, "MAX_SPLIT_BYTES", 500)

    with pytest.raises(BodyTooLarge, match="send it as an upload"):
        AppleExportFormat().split(document(STEPS * 5), time_zone=None)


def test_a_file_may_give_less_than_it_is_asked_for() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size, 700) if size is not None and 0 < size < xml.HEAD_BYTES * 2 else 700)

    whole = read(document(*[STEPS] * 9, WORKOUT))
    slow: Callable[[bytes], io.BytesIO] = Slow

    assert read(slow(document(*[STEPS] * 9, WORKOUT, dtd=""))) == whole
