"""Of two keys with one name a JSON reader keeps the last, silently; around the records that is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from django_healthkit_ingest.core.formats.base import Format
from django_healthkit_ingest.core.formats.envelope import Body
from django_healthkit_ingest.core.formats.flutter import FlutterFormat
from django_healthkit_ingest.core.formats.health_auto_export import HealthAutoExportFormat
from django_healthkit_ingest.core.formats.healthkit import HealthKitFormat
from django_healthkit_ingest.core.formats.open_wearables import OpenWearablesFormat
from django_healthkit_ingest.core.formats.react_native import ReactNativeHealthKitFormat
from django_healthkit_ingest.core.formats.repeats import find_repeats, is_all
from django_healthkit_ingest.core.registry import shipped_registry
from django_healthkit_ingest.core.samples import Sample, Section
from django_healthkit_ingest.exceptions import InvalidEnvelope
from tests.unit.formats import examples

SECRET = "Sensitive-Value"
WINDOW = '{"types":["T"],"start":"2026-01-01T00:00:00Z","end":"2026-01-02T00:00:00Z","complete":true}'


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ('{"samples":[1],"samples":[]}', "/samples"),
        ('{"samples":[1],"samples":[1]}', "/samples"),
        ('{"samples":[1],"samples":[12]}', "/samples"),
        ('{ "samples" : [ 1 ] , "samples" : [ 1 , 2 ] }', "/samples"),
        ('{"sequence":12,"samples":[],"sequence":1}', "/sequence"),
        ('{"sequence":1,"samples":[],"sequence":12}', "/sequence"),
        ('{"time_zone":"UTC","samples":[],"time_zone":null}', "/time_zone"),
        ('{"samp\\u006ces":[1],"samples":[]}', "/samples"),
        ('{"samples":["\\ud83d"],"samples":[]}', "/samples"),
        ('{"samples":["Sensitive\\ud83dValue"],"lane":"LIVE","lane":"LIVE"}', "/lane"),
        ('{"samples":[],"Sensitive-Value":1,"Sensitive-Value":2}', ""),
        ('{"samples":[],"device":{"id":"a","id":"b"}}', "/device/id"),
        ('{"samples":[],"client":{"Sensitive-Value":"a","Sensitive-Value":"b"}}', "/client"),
        ('{"samples":[],"anchors":{"T":"a","T":"b"}}', "/anchors"),
        (f'{{"samples":[],"windows":[{WINDOW},{WINDOW[:-1]},"readable":true,"readable":false}}]}}', "/windows/1"),
    ],
)
def test_an_envelope_names_the_place_and_no_value(body: str, pointer: str) -> None:
    with pytest.raises(InvalidEnvelope) as caught:
        HealthKitFormat().split(body.encode(), time_zone=None)

    error = caught.value
    assert [(fault.pointer, fault.code) for fault in error.errors] == [(pointer, "duplicate_key")]
    assert SECRET not in str(error.errors) + error.detail


@pytest.mark.parametrize(
    ("wire", "body", "pointer"),
    [
        (FlutterFormat(), '{"samples":[],"samples":[]}', "/samples"),
        (ReactNativeHealthKitFormat(), '{"samples":[],"workouts":[1],"workouts":[2]}', "/workouts"),
        (ReactNativeHealthKitFormat(), '{"samples":[],"newAnchor":"a","newAnchor":"b"}', "/newAnchor"),
        (OpenWearablesFormat(), '{"provider":"apple","data":{"sleep":[]},"data":{}}', "/data"),
        (OpenWearablesFormat(), '{"provider":"apple","data":{"sleep":[1],"sleep":[2]}}', "/data/sleep"),
        (HealthAutoExportFormat(), '{"data":{"metrics":[]},"data":{}}', "/data"),
        (HealthAutoExportFormat(), '{"data":{"workouts":[1],"workouts":[2]}}', "/data/workouts"),
    ],
)
def test_every_format_looks(wire: Format, body: str, pointer: str) -> None:
    with pytest.raises(InvalidEnvelope) as caught:
        wire.split(body.encode(), time_zone="UTC")

    assert [(fault.pointer, fault.code) for fault in caught.value.errors] == [(pointer, "duplicate_key")]


@pytest.mark.parametrize("write", [json.dumps, compact, lambda value: json.dumps(value, indent=2)])
@pytest.mark.parametrize(
    ("wire", "body"),
    [
        (HealthKitFormat(), examples.healthkit(examples.HISTORY)),
        (FlutterFormat(), examples.flutter_11(examples.HISTORY)),
        (OpenWearablesFormat(), examples.open_wearables(examples.HISTORY)),
        (HealthAutoExportFormat(), {"data": {"metrics": [], "workouts": [], "new": [{"a": 1}]}}),
        (HealthKitFormat(), {"samples": [{"samples": 1}], "x": {"samples": []}, "device": {"id": 'ü"\\,{}'}}),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_body_without_repeats_passes(wire: Format, body: Any, write: Callable[[Any], str]) -> None:
    wire.split(write(body).encode(), time_zone="UTC")


def test_most_encoders_output_needs_no_search() -> None:
    body: dict[str, Any] = {
        "format": "healthkit",
        "time_zone": "Europe/Berlin",
        "device": {"id": "ü\n"},
        "sequence": 7,
        "samples": [{"a": [1, 2]}, 3],
        "deletions": [],
        "windows": [{}],
    }
    text = compact(body).encode()

    read = msgspec.json.decode(text, type=Body)
    assert is_all(text, read)
    assert not is_all(text[:-1] + b',"samples":[]}', read)
    assert not is_all(json.dumps(body).encode(), read)


@pytest.mark.parametrize("text", [b"[]", b"1", b'"a:b"', b"{}", b'[{"a":1,"a":2}]', b'{"a":{"b":1,"b":2}}', b'{"a":1}'])
def test_what_repeats_nothing_has_no_repeats(text: bytes) -> None:
    assert find_repeats(text, known=()) == []


@pytest.mark.parametrize(
    "text",
    [b'{"a":1,"a":1}', b'{"a":12,"a":1}', b'{"a":"b","b":2,"a":"b"}', b'{"a":"bcd,","a":"ef"}', b'{"a":{"a":1},"a":1}'],
)
def test_a_repeat_is_found_whatever_the_values(text: bytes) -> None:
    assert find_repeats(text, known=("a",), at="/x") == ["/x/a"]


def test_in_a_record_the_last_one_counts() -> None:
    """Looking at every record would cost as much as reading it; what a reader of JSON does is documented."""
    wire = HealthKitFormat()
    record = (
        b'{"type":"HKQuantityTypeIdentifierStepCount","start":"2026-01-01T08:00Z","value":1,"value":2,"unit":"count"}'
    )

    outcomes = [
        *wire.parse(
            b"[%b]" % record,
            section=Section.SAMPLES,
            first_index=0,
            time_zone="UTC",
            registry=shipped_registry(),
        )
    ]

    assert isinstance(outcomes[0], Sample)
    assert outcomes[0].value == 2
