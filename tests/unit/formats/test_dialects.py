"""What holds for all formats alike, shown with one history in every dialect."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.utils.module_loading import import_string

from django_healthkit_ingest.conf import SHIPPED_FORMATS
from django_healthkit_ingest.core.formats.base import Format
from django_healthkit_ingest.core.formats.envelope import join
from django_healthkit_ingest.core.registry import shipped_registry
from django_healthkit_ingest.core.samples import Deletion, Parsed, Sample
from django_healthkit_ingest.exceptions import TimeZoneRequired
from tests.unit.formats.examples import DIALECTS, GONE, HISTORY, PRECISE, Dialect, Moment, react_native_workouts

FORMATS: dict[str, Format] = {wire.name: wire for wire in (import_string(path)() for path in SHIPPED_FORMATS)}
REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "formats.md"
UNNAMED: list[Any] = [
    [],
    {"samples": []},
    {"samples": [], "deletions": [{"uuid": GONE}]},
    {"samples": [], "deletedSamples": [{"uuid": GONE}], "newAnchor": "YQ"},
    {"provider": "apple", "sdkVersion": "1", "data": {}},
    {"samples": DIALECTS["flutter_11"].write(HISTORY), "time_zone": "Europe/Berlin"},
    {"samples": DIALECTS["flutter_4_0"].write(HISTORY), "time_zone": "Europe/Berlin"},
    {"samples": DIALECTS["react_native_array"].write(HISTORY)},
    react_native_workouts(HISTORY),
]


def read(dialect: Dialect, history: tuple[Moment, ...] = HISTORY) -> list[Parsed]:
    wire = FORMATS[dialect.format]
    envelope = wire.split(dialect.body(history), time_zone=dialect.time_zone)
    return [
        outcome
        for section, raws in envelope.records.items()
        for outcome in wire.parse(
            join(raws), section=section, first_index=0, time_zone=envelope.time_zone, registry=shipped_registry()
        )
    ]


def samples(dialect: Dialect, history: tuple[Moment, ...] = HISTORY) -> list[Sample]:
    return [outcome for outcome in read(dialect, history) if isinstance(outcome, Sample)]


@pytest.fixture(params=DIALECTS, ids=str)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return DIALECTS[request.param]


def test_one_history_ends_in_the_same_samples(dialect: Dialect) -> None:
    found = samples(dialect)

    expected = samples(DIALECTS["healthkit"])
    assert [(sample.identifier, sample.start, sample.end, sample.category, sample.fingerprint) for sample in found] == [
        (sample.identifier, sample.start, sample.end, sample.category, sample.fingerprint) for sample in expected
    ]
    assert [sample.value for sample in found] == pytest.approx([sample.value for sample in expected])
    uuids = [UUID(moment.uuid) if dialect.uuids else None for moment in HISTORY]
    assert [sample.uuid for sample in found] == uuids


def test_the_history_is_what_was_meant() -> None:
    found = samples(DIALECTS["healthkit"])

    assert [(each.identifier, each.value, each.category) for each in found] == [
        (moment.identifier, moment.value, moment.category) for moment in HISTORY
    ]
    assert [each.start for each in found] == [moment.start for moment in HISTORY]


def test_nothing_of_the_history_is_rejected(dialect: Dialect) -> None:
    assert all(isinstance(outcome, Sample | Deletion) for outcome in read(dialect))


@pytest.mark.parametrize(
    "body",
    [dialect.body() for dialect in DIALECTS.values()] + [json.dumps(body).encode() for body in UNNAMED],
    ids=[*DIALECTS, *(f"unnamed_{number}" for number in range(len(UNNAMED)))],
)
def test_exactly_one_format_recognises_each_body(body: bytes) -> None:
    assert [name for name, wire in FORMATS.items() if wire.recognises(body)] in [[name] for name in FORMATS]


def test_each_dialect_is_recognised_by_its_own_format(dialect: Dialect) -> None:
    assert [name for name, wire in FORMATS.items() if wire.recognises(dialect.body())] == [dialect.format]


@pytest.mark.parametrize("body", [{}, {"provider": "apple"}, {"data": []}, {"samples": [3]}, {"samples": [], "x": 1}])
def test_nobody_claims_what_is_nobodys(body: object) -> None:
    assert [name for name, wire in FORMATS.items() if wire.recognises(json.dumps(body).encode())] == []


@pytest.mark.parametrize("name", FORMATS)
def test_capabilities_are_what_the_examples_show(name: str) -> None:
    capabilities = FORMATS[name].capabilities
    dialects = [dialect for dialect in DIALECTS.values() if dialect.format == name]

    outcomes = [outcome for dialect in dialects for outcome in read(dialect)]
    assert capabilities.uuids == any(isinstance(each, Sample) and each.uuid is not None for each in outcomes)
    assert capabilities.deletions == any(isinstance(each, Deletion) for each in outcomes)
    steps = [
        step
        for step in (timedelta(seconds=1), timedelta(milliseconds=1), timedelta(microseconds=1))
        if all(
            not sample.start.microsecond % (step // timedelta(microseconds=1))
            for dialect in dialects
            for sample in samples(dialect, PRECISE)
        )
    ]
    assert capabilities.precision == steps[0]


def test_only_a_format_without_offsets_needs_a_zone(dialect: Dialect) -> None:
    wire = FORMATS[dialect.format]

    if wire.capabilities.offsets:
        wire.split(dialect.body(), time_zone=None)
    else:
        with pytest.raises(TimeZoneRequired):
            wire.split(dialect.body(), time_zone=None)


def test_the_better_format_wins_where_both_carry_the_uuid() -> None:
    assert sorted(FORMATS, key=lambda name: -FORMATS[name].fidelity) == [
        "healthkit", "react_native_healthkit", "open_wearables", "flutter",
        "apple_export", "health_auto_export",
    ]  # fmt: skip


def test_the_reference_shows_the_capabilities() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (yes|no) \| (yes|no) \| (yes|no) \| (.+?) \|$", REFERENCE.read_text("utf-8"), re.MULTILINE
    )

    units = {timedelta(microseconds=1): "1 µs", timedelta(milliseconds=1): "1 ms", timedelta(seconds=1): "1 s"}
    assert rows == [
        (
            name,
            *("yes" if each else "no" for each in (what.uuids, what.deletions, what.offsets)),
            units[what.precision],
        )
        for name, what in ((name, wire.capabilities) for name, wire in FORMATS.items())
    ]
