"""Plain records are read by a pattern: whatever it takes is what the parser makes of it, byte for byte."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_healthkit_ingest.core.formats.apple_export_elements import Element, read_elements
from django_healthkit_ingest.core.formats.apple_export_plain import MAX_PLAIN_BYTES, MAX_REMEMBERED, PlainRecords
from django_healthkit_ingest.core.formats.apple_export_xml import HEAD_BYTES, read_blocks, read_head
from tests.unit.formats.apple_export_examples import BLOOD_PRESSURE, SUMMARY, WORKOUT, document

DEVICE = "&lt;&lt;HKDevice: 0x28a4&gt;, name:Apple Watch, manufacturer:Apple Inc., hardware:Watch7,11&gt;"
DATES = (
    'creationDate="2026-01-05 08:10:00 +0100" startDate="2026-01-05 08:00:00 +0100" endDate="2026-01-05 08:05:00 +0100"'
)
ENTRY = '\n  <MetadataEntry key="HKTimeZone" value="Europe/Berlin"/>'
HEART_RATE = (
    f' <Record type="HeartRate" sourceName="Ada’s\u00a0Watch" sourceVersion="11.1" device="{DEVICE}" unit="count/min"'
    f' {DATES} value="61">{ENTRY}\n </Record>\n'
)
SLEEP = f' <Record type="Sleep" sourceName="Ada" {DATES} value="HKCategoryValueSleepAnalysisAwake"/>\n'


def plain(text: str | bytes) -> tuple[list[Element], int]:
    block = text.encode() if isinstance(text, str) else text
    return PlainRecords().read(block, start=0, base=7)


def parsed(text: str | bytes) -> list[Element]:
    block = text.encode() if isinstance(text, str) else text
    return read_elements(block, start=0, base=7).elements


@pytest.mark.parametrize(
    "record",
    [
        HEART_RATE,
        SLEEP,
        HEART_RATE.replace(f' device="{DEVICE}"', ""),
        HEART_RATE.replace(' sourceVersion="11.1"', ""),
        HEART_RATE.replace(ENTRY, ""),
        HEART_RATE.replace(ENTRY, ENTRY * 2),
        HEART_RATE.replace(ENTRY, ENTRY + ENTRY.replace("HKTimeZone", "Ada's > key")),
        HEART_RATE.replace(DEVICE, "&amp;&#38;&quot;\\ &#x1F600;"),
        HEART_RATE.replace(DEVICE, ""),
        HEART_RATE.replace(DEVICE, "&lt;&lt;HKDevice: 0x12"),
        HEART_RATE.replace(' unit="count/min"', ""),
        HEART_RATE.replace("count/min", "%&quot;\\"),
        HEART_RATE.replace("HeartRate", 'Heart&quot;,&quot;x":'.replace('"', "&quot;")),
    ],
)
def test_it_is_what_the_parser_reads(record: str) -> None:
    elements, rest = plain(record * 2)

    assert len(elements) == 2
    assert elements == parsed(record * 2)
    assert rest == len((record * 2).rstrip("\n").encode())


@pytest.mark.parametrize(
    "record",
    [
        SLEEP.replace("Ada", "A&da"),
        SLEEP.replace("Ada", "A&nbsp;da"),
        SLEEP.replace("Ada", "A&#0;da"),
        SLEEP.replace("Ada", "A\uffffda"),
        SLEEP.encode().replace(b"Ada", b"A\xffda"),
        HEART_RATE.replace("Watch7,11&gt;", "Watch7,11&gt"),
        SLEEP.replace("Ada", "A\nda"),
        SLEEP.replace("Awake", "A&amp;wake"),
        SLEEP.replace("Awake", "Aw\\ake"),
        SLEEP.replace("Awake", "Äwake"),
        SLEEP.replace("Awake", "A\x7fwake"),
        SLEEP.replace(' value="', ' newIn2027="1" value="'),
        SLEEP.replace(DATES, f"{DATES} {DATES}"),
        SLEEP.replace('"', "'"),
        SLEEP.replace("/>", ">text</Record>"),
        SLEEP.replace("/>", '><MetadataEntry key="a" value="Ä"/></Record>'),
        SLEEP.replace("/>", '><MetadataEntry value="a" key="b"/></Record>'),
        SLEEP.replace("/>", "><HeartRateVariabilityMetadataList/></Record>"),
        SLEEP.replace("/>", f">{ENTRY * 51}</Record>"),
        SLEEP.replace("Ada", "A" * MAX_PLAIN_BYTES),
        SLEEP.replace("<Record", "<Records"),
        SLEEP.replace("/>", ">"),
        BLOOD_PRESSURE,
        WORKOUT,
        SUMMARY,
        "text" + SLEEP,
        "\x0b" + SLEEP,
        "<!-- a comment -->" + SLEEP,
        "</HealthData>",
        "",
    ],
)
def test_what_looks_different_is_left_to_the_parser(record: str | bytes) -> None:
    following = record if isinstance(record, bytes) else record.encode()

    elements, rest = plain(SLEEP.encode() + following + SLEEP.encode())

    if following:
        assert len(elements) == 1
        assert rest == len(SLEEP.rstrip("\n"))
    else:
        assert len(elements) == 2


def test_the_address_in_a_device_is_kept_as_it_was_written() -> None:
    records = [HEART_RATE.replace("0x28a4", address) for address in ("0x28a4", "0x1", "0xffff")]

    elements, _ = plain("".join(records))

    assert [each.record for each in elements] == [each.record for each in parsed("".join(records))]
    assert len({bytes(each.record) for each in elements}) == 3


def test_more_sources_and_metadata_than_are_remembered() -> None:
    records = "".join(
        HEART_RATE.replace("11.1", f"11.{number}").replace("Berlin", f"City{number}")
        for number in range(2 * MAX_REMEMBERED)
    )

    elements, _ = plain(records * 2)

    assert elements == parsed(records * 2)


def test_a_document_of_both_kinds_is_what_the_parser_reads() -> None:
    body = (HEART_RATE * 30 + WORKOUT + SLEEP * 3 + BLOOD_PRESSURE * 40 + SUMMARY + HEART_RATE * 90) * 3
    content = document(body)
    head = read_head(content[:HEAD_BYTES])
    assert head is not None

    blocks = list(read_blocks(io.BytesIO(content[head.body :]).read, offset=head.body, head=head))

    read = [each for block in blocks for each in block.elements]
    assert read == read_elements(content, start=head.body, base=0).elements


PIECES = st.sampled_from(
    ["<", ">", "&", "&lt;", "&#65;", '"', "'", "\\", " ", "\n", "=", "/", "0x1f", "ä", "\ufffe", "A", "&gt;"]
)


@given(st.data())
def test_no_record_is_read_otherwise_than_by_the_parser(data: st.DataObject) -> None:
    record = data.draw(st.sampled_from([HEART_RATE, SLEEP]))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(record)))
        record = record[:place] + data.draw(PIECES) + record[place + data.draw(st.integers(0, 3)) :]

    elements, rest = plain(SLEEP + record + SLEEP)

    assert elements
    assert elements == parsed(SLEEP + record + SLEEP)[: len(elements)]
    assert rest >= len(SLEEP.rstrip("\n"))
