"""A small body that would need gigabytes to be taken apart is refused before it is."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from django_healthkit_ingest.core.formats.base import Format
from django_healthkit_ingest.core.formats.bounds import MAX_RECORD_VALUES, MAX_RECORDS, check_bulk, check_count
from django_healthkit_ingest.core.formats.envelope import join
from django_healthkit_ingest.core.formats.health_auto_export import HealthAutoExportFormat
from django_healthkit_ingest.core.formats.healthkit import HealthKitFormat
from django_healthkit_ingest.core.registry import shipped_registry
from django_healthkit_ingest.core.samples import Rejected, Section
from django_healthkit_ingest.exceptions import BodyTooLarge, MalformedBody

MEGABYTE = 2**20
DENSE = 6 * MEGABYTE
"""Bytes of a bomb: enough for the look to be worth while."""

METRIC = b'{"data":{"metrics":[{"name":"heart_rate","units":"bpm","data":%b}]}}'
SAMPLES = b'{"samples":%b}'
RECORD = b'{"type":"HKQuantityTypeIdentifierStepCount","start":"2026-01-01T08:00:00Z","value":1,"unit":"count"}'


def array(element: bytes, *, count: int) -> bytes:
    return b"[" + b",".join([element] * count) + b"]"


def of_size(element: bytes, size: int) -> bytes:
    return array(element, count=size // (len(element) + 1))


def keys(size: int) -> bytes:
    return b"{" + b",".join(b'"%06x":0' % number for number in range(size // 11)) + b"}"


BOMBS: dict[str, Callable[[], bytes]] = {
    "zeros": lambda: SAMPLES % of_size(b"0", DENSE),
    "zeros at the top": lambda: of_size(b"0", DENSE),
    "after a byte order mark": lambda: b"\xef\xbb\xbf " + of_size(b"0", DENSE),
    "objects": lambda: SAMPLES % of_size(b"{}", 2 * DENSE),
    "very many objects": lambda: SAMPLES % array(b"{}", count=8 * MAX_RECORDS + 1),
    "zeros where nobody has any": lambda: b'{"samples":[],"other":%b}' % of_size(b"0", DENSE),
    "zeros twice": lambda: b'{"samples":%b,"samples":[]}' % of_size(b"0", DENSE),
    "points": lambda: METRIC % of_size(b"0", DENSE),
    "metrics": lambda: b'{"data":{"metrics":%b}}' % of_size(b"0", DENSE),
    "sleep": lambda: b'{"provider":"apple","data":{"sleep":%b}}' % of_size(b"null", 2 * DENSE),
    "keys": lambda: keys(4 * DENSE),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused_and_costs_no_more_than_its_bytes(bomb: Callable[[], bytes]) -> None:
    body = bomb()
    tracemalloc.start()

    with pytest.raises(BodyTooLarge) as caught:
        check_bulk(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert "Send fewer records" in caught.value.detail
    assert peak < 2 * len(body) + 50 * MEGABYTE


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"0," * 100,
        SAMPLES % array(b"null", count=MAX_RECORDS),
        SAMPLES % array(RECORD, count=300_000),
        array(RECORD, count=300_000),
        METRIC % array(RECORD, count=300_000),
        b'{"samples":[],"other":"%b"}' % (b" " * DENSE),
        b"<x>" + b"0," * DENSE + b"</x>",
        b'{"samples":[{"points":%b}]}' % array(b"0", count=2_000_000),
        b"[" * DENSE,
    ],
    ids=lambda body: f"{body[:16]!r}.. {len(body)}",
)
def test_what_is_large_for_a_reason_passes(body: bytes) -> None:
    check_bulk(body)


def test_a_record_that_is_no_object_costs_only_a_giant_its_passage() -> None:
    records = [RECORD] * 300_000

    check_bulk(SAMPLES % b"[%b,null]" % b",".join(records[:100_000]))
    with pytest.raises(BodyTooLarge):
        check_bulk(SAMPLES % b"[%b,null]" % b",".join(records))


def test_a_giant_that_is_no_json_is_malformed() -> None:
    with pytest.raises(MalformedBody):
        check_bulk(array(RECORD, count=400_000)[:-1])


def test_records_are_counted() -> None:
    check_count(MAX_RECORDS)
    with pytest.raises(BodyTooLarge):
        check_count(MAX_RECORDS + 1)


def test_points_of_all_metrics_are_counted_together() -> None:
    metric = b'{"name":"heart_rate","units":"bpm","data":%b}' % array(b"0", count=MAX_RECORDS // 2)
    body = b'{"data":{"metrics":%b}}'

    split: Callable[..., Any] = HealthAutoExportFormat().split
    split(body % array(metric, count=2), time_zone="UTC")
    with pytest.raises(BodyTooLarge):
        split(body % b"[%b,%b,%b]" % (metric, metric, b'{"name":"x","data":[0]}'), time_zone="UTC")


@pytest.mark.parametrize("wire", [HealthKitFormat()], ids=lambda wire: wire.name)
def test_a_record_with_too_many_values_is_rejected_alone(wire: Format) -> None:
    bomb = b'{"type":"X","start":"2026-01-01T00:00:00","points":%b}' % array(b"0", count=MAX_RECORD_VALUES + 2)
    envelope = wire.split(SAMPLES % (b"[%b,%b]" % (bomb, RECORD)), time_zone=None)

    outcomes = [
        *wire.parse(
            join(envelope.records[Section.SAMPLES]),
            section=Section.SAMPLES,
            first_index=0,
            time_zone=None,
            registry=shipped_registry(),
        )
    ]

    assert isinstance(outcomes[0], Rejected)
    assert (outcomes[0].code, outcomes[0].field) == ("too_long", "")
    assert not isinstance(outcomes[1], Rejected)
    assert json.loads(RECORD)["type"] == outcomes[1].identifier  # type: ignore[union-attr]
