from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from django_healthkit_ingest.core.formats.base import Envelope
from django_healthkit_ingest.core.formats.envelope import join, peek, peeking_once
from django_healthkit_ingest.core.formats.flutter import FlutterFormat
from django_healthkit_ingest.core.formats.healthkit import HealthKitFormat
from django_healthkit_ingest.core.samples import Section
from django_healthkit_ingest.exceptions import InvalidBody, InvalidEnvelope, MalformedBody, TimeZoneRequired

SECRET = "Sensitive-Value"
SAMPLE = {"type": "HKQuantityTypeIdentifierStepCount", "start": "2026-01-01T08:00:00Z", "value": 1, "unit": "count"}

WINDOW = {
    "types": ["HKQuantityTypeIdentifierStepCount", "STEPS"],
    "start": "2026-01-01T00:00:00",
    "end": "2026-01-02T00:00:00+01:00",
    "complete": True,
    "readable": True,
}
ZONED = WINDOW | {"start": "2026-01-01T00:00:00Z"}


def split(body: dict[str, Any] | bytes, *, time_zone: str | None = None) -> Envelope:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HealthKitFormat().split(raw, time_zone=time_zone)


def refused(body: dict[str, Any] | bytes, *, time_zone: str | None = None) -> InvalidBody:
    with pytest.raises(InvalidBody) as caught:
        split(body, time_zone=time_zone)
    error = caught.value
    assert SECRET not in error.detail + str(error.errors)
    return error


def test_everything_an_envelope_can_say() -> None:
    envelope = split(
        {
            "format": "healthkit",
            "version": 1,
            "time_zone": "Europe/Berlin",
            "lane": "BACKFILL",
            "device": {"id": "6F0C", "model": "iPhone17,1", "system_version": "27.0", "future": "x"},
            "client": {"name": "acme-ios", "version": "3.2.0"},
            "sequence": 42,
            "anchors": {"HKQuantityTypeIdentifierStepCount": "YW5jaG9y"},
            "windows": [WINDOW],
            "samples": [SAMPLE, 3],
            "deletions": [{"uuid": "x"}],
            "statistics": [{}],
        },
        time_zone="Europe/Berlin",
    )

    assert {section: [msgspec.json.decode(raw) for raw in raws] for section, raws in envelope.records.items()} == {
        Section.SAMPLES: [SAMPLE, 3],
        Section.DELETIONS: [{"uuid": "x"}],
        Section.STATISTICS: [{}],
    }
    assert (envelope.time_zone, envelope.lane, envelope.warnings) == ("Europe/Berlin", "BACKFILL", ())
    assert envelope.device == {"id": "6F0C", "model": "iPhone17,1", "system_version": "27.0", "future": "x"}
    assert envelope.client == {"name": "acme-ios", "version": "3.2.0"}
    assert (envelope.sequence, envelope.anchors) == (42, {"HKQuantityTypeIdentifierStepCount": "YW5jaG9y"})
    assert envelope.windows == (
        {
            "types": ["HKQuantityTypeIdentifierStepCount", "STEPS"],
            "start": "2025-12-31T23:00:00Z",
            "end": "2026-01-01T23:00:00Z",
            "complete": True,
            "readable": True,
        },
    )


@pytest.mark.parametrize(
    "body",
    [
        {"samples": []},
        {"samples": [], "deletions": None, "statistics": None, "time_zone": None, "lane": None, "version": None},
        {"samples": [], "sequence": None, "anchors": None, "windows": None},
        {"samples": [], "anchors": {}, "windows": []},
    ],
)
def test_nothing_but_samples_is_required(body: dict[str, Any]) -> None:
    assert split(body) == Envelope(records={})


def test_the_zone_may_be_declared_out_of_the_body() -> None:
    assert split({"samples": [SAMPLE]}, time_zone="Asia/Tokyo").time_zone == "Asia/Tokyo"


def test_what_is_ignored_is_named() -> None:
    body = {"samples": [], "anchors": {}, "windows": [], "sequence": 0, "colour": SECRET, "x" * 100: 1, "a\n\0": 1}

    assert split(body).warnings == ("colour", "x" * 64, "(unprintable)")


def test_no_more_than_ten_unknown_keys_are_named() -> None:
    assert len(split({"samples": []} | {f"k{number}": 0 for number in range(50)}).warnings) == 10


def test_an_unknown_key_costs_nothing_else() -> None:
    plain = {"samples": [SAMPLE], "time_zone": "UTC", "device": {"id": "1"}}

    odd = split(plain | {"colour": 1})

    assert msgspec.structs.replace(odd, warnings=()).records.keys() == split(plain).records.keys()
    assert (odd.time_zone, odd.device) == ("UTC", {"id": "1"})


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"  \n"])
def test_a_byte_order_mark_and_white_space_are_no_fault(start: bytes) -> None:
    assert len(split(start + json.dumps({"samples": [SAMPLE]}).encode()).records[Section.SAMPLES]) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b'{"samples": [}', b'{"samples": []} x', b"samples=[]", b'{"samples": [NaN]}',
        b'{"samples": ["\xff"]}', b'{"samples": ["\xed\xa0\x80"]}', b'{"samples": ["' + b"x" * 2**20 + b'\xc3"]}',
        '{"samples": []}'.encode("utf-16"), b'{"samples": ["\x01"]}', b"\x1f\x8b", b'{"samples": ["\\ud800", }',
        b'{"samples": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", b"[" * 200_000,
    ],
)  # fmt: skip
def test_what_is_no_json(body: bytes) -> None:
    assert isinstance(refused(body), MalformedBody)


@pytest.mark.parametrize("body", [b"[]", b"3", b'"samples"', b"null"])
def test_what_is_no_envelope(body: bytes) -> None:
    assert isinstance(refused(body), InvalidEnvelope)


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        ({"samples": {}}, [("/samples", "wrong_type")]),
        ({"samples": None}, [("/samples", "wrong_type")]),
        ({"deletions": {SECRET: 1}}, [("/deletions", "wrong_type")]),
        ({"statistics": SECRET}, [("/statistics", "wrong_type")]),
        ({"version": 2}, [("/version", "unsupported_version")]),
        ({"version": SECRET}, [("/version", "wrong_type")]),
        ({"version": True}, [("/version", "wrong_type")]),
        ({"format": SECRET}, [("/format", "format_mismatch")]),
        ({"format": "flutter"}, [("/format", "format_mismatch")]),
        ({"format": 1}, [("/format", "wrong_type")]),
        ({"lane": SECRET}, [("/lane", "invalid_lane")]),
        ({"lane": "live"}, [("/lane", "invalid_lane")]),
        ({"time_zone": SECRET}, [("/time_zone", "invalid_time_zone")]),
        ({"time_zone": "+01:00"}, [("/time_zone", "invalid_time_zone")]),
        ({"time_zone": 1}, [("/time_zone", "wrong_type")]),
        ({"device": SECRET}, [("/device", "wrong_type")]),
        ({"device": {"id": 1, "model": None}}, [("/device/id", "wrong_type"), ("/device/model", "wrong_type")]),
        ({"device": {SECRET: 1}}, [("/device", "wrong_type")]),
        ({"device": {"id": "x" * 256}}, [("/device/id", "too_long")]),
        ({"device": {"id": "x\0"}}, [("/device/id", "nul_character")]),
        ({"client": {"name": {SECRET: 1}}}, [("/client/name", "wrong_type")]),
        ({"client": {SECRET * 20: "x"}}, [("/client", "too_long")]),
        ({"sequence": -1}, [("/sequence", "number_out_of_range")]),
        ({"sequence": 2**63}, [("/sequence", "number_out_of_range")]),
        ({"sequence": SECRET}, [("/sequence", "wrong_type")]),
        ({"sequence": 1.5}, [("/sequence", "wrong_type")]),
        ({"anchors": [SECRET]}, [("/anchors", "wrong_type")]),
        ({"anchors": {SECRET: 1}}, [("/anchors", "wrong_type")]),
        ({"anchors": {SECRET: ""}}, [("/anchors", "invalid_anchor")]),
        ({"anchors": {SECRET: "x" * (2**16 + 1)}}, [("/anchors", "invalid_anchor")]),
        ({"anchors": {SECRET: "a\0"}}, [("/anchors", "nul_character")]),
        ({"anchors": {"": "a"}}, [("/anchors", "invalid_type")]),
        ({"anchors": {"x" * 129: "a"}}, [("/anchors", "invalid_type")]),
        ({"anchors": {"a\nb": "a"}}, [("/anchors", "invalid_type")]),
        ({"anchors": {f"type {n}": "a" for n in range(501)}}, [("/anchors", "too_many")]),
        ({"windows": {SECRET: 1}}, [("/windows", "wrong_type")]),
        ({"windows": [ZONED, SECRET]}, [("/windows/1", "wrong_type")]),
        (
            {"windows": [{}]},
            [
                ("/windows/0/types", "missing_field"),
                ("/windows/0/start", "missing_field"),
                ("/windows/0/end", "missing_field"),
            ],
        ),
        (
            {"windows": [ZONED | {"types": SECRET, "complete": 1}]},
            [("/windows/0/types", "wrong_type"), ("/windows/0/complete", "wrong_type")],
        ),
        ({"windows": [ZONED | {"types": []}]}, [("/windows/0/types", "missing_type")]),
        (
            {"windows": [ZONED | {"types": ["ok", "", "x" * 129]}]},
            [("/windows/0/types/1", "invalid_type"), ("/windows/0/types/2", "invalid_type")],
        ),
        ({"windows": [ZONED | {"types": ["x"] * 501}]}, [("/windows/0/types", "too_many")]),
        ({"windows": [ZONED] * 101}, [("/windows", "too_many")]),
        ({"windows": [ZONED | {"start": SECRET}]}, [("/windows/0/start", "invalid_date")]),
        ({"windows": [ZONED | {"end": "0999-01-01T00:00:00Z"}]}, [("/windows/0/end", "implausible_date")]),
        ({"windows": [ZONED | {"end": "2025-01-01T00:00:00Z"}]}, [("/windows/0/end", "end_before_start")]),
        ({"windows": [ZONED | {"end": ZONED["start"]}]}, [("/windows/0/end", "empty_window")]),
        ({"lane": 1, "version": "1"}, [("/version", "wrong_type"), ("/lane", "wrong_type")]),
        ({"lane": "x", "version": 3}, [("/version", "unsupported_version"), ("/lane", "invalid_lane")]),
    ],
)
def test_every_fault_has_its_pointer(change: dict[str, Any], faults: list[tuple[str, str]]) -> None:
    error = refused({"samples": [SAMPLE]} | change)

    assert isinstance(error, InvalidEnvelope)
    assert [(fault.pointer, fault.code) for fault in error.errors] == faults
    assert all(fault.detail in error.detail for fault in error.errors)


def test_samples_are_required() -> None:
    error = refused({"deletions": []})

    assert [(fault.pointer, fault.code) for fault in error.errors] == [("/samples", "missing_field")]


def test_a_window_neither_complete_nor_readable_says_so() -> None:
    (window,) = split(
        {"samples": [], "windows": [{"types": ["X"], "start": "2026-01-01T00:00Z", "end": "2026-01-02T00:00Z"}]}
    ).windows

    assert (window["complete"], window["readable"]) == (False, False)


def test_a_naive_window_needs_a_zone_too() -> None:
    error = refused({"samples": [SAMPLE], "windows": [ZONED, WINDOW | {"end": "2026-01-02T00:00:00"}]})

    assert isinstance(error, TimeZoneRequired)
    assert [(fault.pointer, fault.code) for fault in error.errors] == [("/windows/1/start", "naive_date")]


def test_a_window_is_read_in_the_declared_zone() -> None:
    naive = WINDOW | {"end": "2026-01-02T00:00:00"}

    (window,) = split({"samples": [], "windows": [naive]}, time_zone="Asia/Tokyo").windows

    assert (window["start"], window["end"]) == ("2025-12-31T15:00:00Z", "2026-01-01T15:00:00Z")


def test_one_zone_in_the_body_and_another_beside_it() -> None:
    error = refused({"samples": [], "time_zone": "Europe/Berlin"}, time_zone="Europe/Paris")

    assert [(fault.pointer, fault.code) for fault in error.errors] == [("/time_zone", "time_zone_mismatch")]


def test_a_zone_beside_the_body_is_checked_too() -> None:
    assert isinstance(refused({"samples": []}, time_zone="Atlantis"), InvalidEnvelope)


def test_naive_dates_need_a_zone() -> None:
    samples = [
        SAMPLE,
        SAMPLE | {"start": "2026-01-01T08:00:00", "end": "2026-01-01T09:00:00"},
        SAMPLE | {"end": "2026-01-01T09:00:00.5"},
        SAMPLE | {"start": "2026-01-01T08:00:00", "time_zone": "Europe/Lisbon"},
        SAMPLE | {"start": "2026-01-01T08:00:00", "metadata": {"HKTimeZone": "Europe/Lisbon"}},
        SAMPLE | {"start": "2026-01-01T08:00:00", "metadata": {"HKTimeZone": SECRET}},
        SAMPLE | {"start": SECRET},
        SAMPLE | {"start": 3},
        3,
    ]

    error = refused({"samples": samples})

    assert isinstance(error, TimeZoneRequired)
    assert [fault.pointer for fault in error.errors] == [
        "/samples/1/start", "/samples/1/end", "/samples/2/end", "/samples/5/start",
    ]  # fmt: skip
    assert {fault.code for fault in error.errors} == {"naive_date"}


@pytest.mark.parametrize(
    "date",
    [
        "2026-01-01T08:00:00",
        "2026-01-01 08:00",
        "2026-01-01T08:00:00.123456789",
        "2026-01-01T08:00:00,5",
        "9999-12-31T23:59:59",
    ],
)
@pytest.mark.parametrize("name", ["start", "end"])
def test_one_naive_date_among_many_with_an_offset_is_found(name: str, date: str) -> None:
    error = refused({"samples": [SAMPLE] * 50 + [SAMPLE | {name: date}] + [SAMPLE] * 50})

    assert [fault.pointer for fault in error.errors] == [f"/samples/50/{name}"]


@pytest.mark.parametrize(
    "date",
    [
        "2026-01-01T08:00:00Z",
        "2026-01-01t08:00:00z",
        "2026-01-01 08:00:00+05:30",
        "2026-01-01T08:00:00+0530",
        "2026-01-01T08:00+05",
        "2026-01-01T24:00:00",
        "2026-13-01T08:00:00+01:00",
        "0000-01-01T08:00:00Z",
        "soon",
        "",
        None,
        3,
    ],
)
def test_whatever_is_no_naive_date_needs_no_zone(date: Any) -> None:
    records = [SAMPLE, SAMPLE | {"start": date}, SAMPLE | {"end": date}, SAMPLE | {"objects": [{"start": date}, 3]}]

    assert len(split({"samples": records}).records[Section.SAMPLES]) == 4


def test_peeking_once_keeps_bodies_apart() -> None:
    one, other = b'{"samples": [], "format": "one"}', b'{"samples": [], "format": "other"}'

    with peeking_once():
        seen = [peek(body).format for body in (one, other, one, other)]

    assert seen == ["one", "other"] * 2


def test_only_the_first_ten_naive_dates_are_listed() -> None:
    error = refused({"samples": [SAMPLE | {"start": "2026-01-01T08:00:00", "end": "2026-01-01T09:00:00"}] * 99})

    assert len(error.errors) == 10


@pytest.mark.parametrize("zone", ["body", "argument"])
def test_naive_dates_with_a_zone(zone: str) -> None:
    body: dict[str, Any] = {"samples": [SAMPLE | {"start": "2026-01-01T08:00:00"}]}

    if zone == "body":
        envelope = split(body | {"time_zone": "Europe/Berlin"})
    else:
        envelope = split(body, time_zone="Europe/Berlin")

    assert envelope.time_zone == "Europe/Berlin"


def test_a_bare_array_has_pointers_without_an_envelope() -> None:
    point = {"type": "STEPS", "dateFrom": "2026-01-01T08:00:00.000"}

    with pytest.raises(TimeZoneRequired) as caught:
        FlutterFormat().split(json.dumps([{}, point]).encode(), time_zone=None)

    assert [fault.pointer for fault in caught.value.errors] == ["/1/dateFrom"]


@pytest.mark.parametrize("time_zone", ["Atlantis", "../UTC"])
def test_a_bare_array_with_a_zone_that_is_none(time_zone: str) -> None:
    with pytest.raises(InvalidEnvelope):
        FlutterFormat().split(b"[]", time_zone=time_zone)


@pytest.mark.parametrize("body", [b"[", b"[1] 2", b'["\xff"]', b"[" * 200_000 + b"]" * 200_000])
def test_a_bare_array_that_is_no_json(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        FlutterFormat().split(body, time_zone="UTC")


def test_half_a_character_in_one_sample_does_not_sink_the_others() -> None:
    body = b'{"samples": [{"source": {"name": "Ada \\ud83d"}}, {"note": "\\\\ud83d \\ud83c\\udfc3"}]}'

    raws = split(body).records[Section.SAMPLES]

    assert [msgspec.json.decode(raw) for raw in raws] == [{"source": {"name": "Ada \ufffd"}}, {"note": "\\ud83d 🏃"}]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_join_is_what_split_took_apart(count: int) -> None:
    raws = [msgspec.Raw(json.dumps(SAMPLE | {"value": number}).encode()) for number in range(count)]

    assert json.loads(join(raws)) == [msgspec.json.decode(raw) for raw in raws]
