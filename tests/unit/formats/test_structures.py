from __future__ import annotations

import json
from uuid import UUID

import pytest

from django_healthkit_ingest.core.encodings import decompress
from django_healthkit_ingest.core.registry import SampleKind, shipped_registry
from django_healthkit_ingest.core.samples import Sample, Statistics
from tests.unit.formats.structures import ONCE, STRUCTURES, WORKOUT_UUID
from tests.unit.formats.test_healthkit import accepted, parse, sample, validator

BULKY = {"series": ("locations", "locations"), "heartbeats": ("beats", "beats"), "ecg": ("voltages", "voltages")}


def test_there_is_an_example_of_every_kind() -> None:
    registry = shipped_registry()
    kinds = {known.kind for each in (STRUCTURES | ONCE).values() if (known := registry.get(each["type"])) is not None}

    assert kinds == set(SampleKind) - {SampleKind.QUANTITY, SampleKind.CATEGORY}


@pytest.mark.parametrize("name", STRUCTURES)
def test_it_is_stored_whole_as_its_own_kind(name: str) -> None:
    element = STRUCTURES[name]

    result = sample(element)

    known = shipped_registry().get(element["type"])
    assert (result.identifier, result.known) == (element["type"], known is not None)
    assert result.kind is (known.kind if known is not None else None)
    bulky, _ = BULKY.get(name, ("", ""))
    assert json.loads(result.details or "") == {key: member for key, member in element.items() if key != bulky}
    assert result.source is not None


@pytest.mark.parametrize("name", STRUCTURES)
def test_what_is_bulky_is_kept_apart(name: str) -> None:
    element = STRUCTURES[name]

    series = sample(element).series

    expected = {BULKY[name][1]: element[BULKY[name][0]]} if name in BULKY else {}
    assert {each.name: json.loads(decompress(each.payload)) for each in series} == expected
    assert all(each.points == len(expected[each.name]) for each in series)


@pytest.mark.parametrize("turned", [False, True])
def test_a_route_names_its_workout_and_may_come_before_it(turned: bool) -> None:
    elements = [STRUCTURES["workout"], STRUCTURES["series"]]

    outcomes = parse(*(reversed(elements) if turned else elements))

    samples = {each.identifier: each for each in outcomes if isinstance(each, Sample)}
    route, workout = samples["HKWorkoutRouteTypeIdentifier"], samples["HKWorkoutTypeIdentifier"]
    assert UUID(json.loads(route.details or "")["workout"]) == UUID(WORKOUT_UUID) == workout.uuid


@pytest.mark.parametrize("name", STRUCTURES | ONCE)
def test_the_schema_takes_it_and_so_does_the_code(name: str) -> None:
    body = {"samples": [(STRUCTURES | ONCE)[name]]}

    assert validator().is_valid(body), list(validator().iter_errors(body))
    assert accepted(body)


@pytest.mark.parametrize("name", ONCE)
def test_what_there_is_once_is_no_sample(name: str) -> None:
    (outcome,) = parse(ONCE[name])

    assert isinstance(outcome, Statistics)
    assert [json.loads(each.details or "") for each in outcome.values] == [ONCE[name]]
