from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from django_healthkit_ingest.core.formats.healthkit import HealthKitFormat
from django_healthkit_ingest.core.rejections import reasons
from django_healthkit_ingest.core.samples import Device, Rejected, Source, ZoneBasis
from django_healthkit_ingest.exceptions import TimeZoneRequired
from tests.unit.formats.test_healthkit import accepted, parse, sample, validator

SYSTOLIC: dict[str, Any] = {
    "uuid": "B100D000-AAAA-4000-8000-000000000001",
    "type": "HKQuantityTypeIdentifierBloodPressureSystolic",
    "start": "2026-01-05T08:00:00+01:00",
    "value": 16,
    "unit": "kPa",
}
DIASTOLIC: dict[str, Any] = {
    "type": "HKQuantityTypeIdentifierBloodPressureDiastolic",
    "start": "2026-01-05T08:00:00+01:00",
    "value": 80,
    "unit": "mmHg",
    "source": {"name": "Cuff"},
    "metadata": {"HKTimeZone": "Europe/Lisbon"},
}
PRESSURE: dict[str, Any] = {
    "uuid": "B100D000-AAAA-4000-8000-000000000000",
    "type": "HKCorrelationTypeIdentifierBloodPressure",
    "start": "2026-01-05T08:00:00+01:00",
    "time_zone": "Europe/Berlin",
    "source": {"name": "Ada's iPhone"},
    "device": {"model": "Cuff 2"},
    "objects": [SYSTOLIC, DIASTOLIC],
}


def test_the_members_are_its_own() -> None:
    result = sample(PRESSURE, first_index=7)

    systolic, diastolic = result.members
    assert [each.index for each in (result, systolic, diastolic)] == [7, 7, 7]
    assert (systolic.uuid, diastolic.uuid) == (UUID(SYSTOLIC["uuid"]), None)
    assert [each.value for each in (systolic, diastolic)] == pytest.approx([120.00985, 80])
    assert (systolic.details, systolic.members) == (None, ())
    assert json.loads(result.details or "") == PRESSURE


def test_a_member_without_a_source_has_the_correlations() -> None:
    systolic, diastolic = sample(PRESSURE).members

    assert systolic.source == Source(name="Ada's iPhone", device=Device(model="Cuff 2"))
    assert diastolic.source == Source(name="Cuff")


def test_a_member_without_a_zone_has_the_correlations() -> None:
    systolic, diastolic = sample(PRESSURE).members

    assert (systolic.time_zone, diastolic.time_zone) == ("Europe/Berlin", "Europe/Lisbon")
    assert systolic.zone_basis is ZoneBasis.METADATA


def test_a_member_is_the_record_it_would_be_alone() -> None:
    alone = sample(
        SYSTOLIC | {"time_zone": "Europe/Berlin", "source": PRESSURE["source"], "device": PRESSURE["device"]}
    )

    assert sample(PRESSURE).members[0] == alone


def test_a_type_of_the_future_may_be_inside() -> None:
    (future,) = sample(PRESSURE | {"objects": [SYSTOLIC | {"type": "HKQuantityTypeIdentifierNew"}]}).members

    assert (future.known, future.value, future.unit) == (False, 16.0, "kPa")


@pytest.mark.parametrize("objects", [[], None])
def test_a_correlation_may_be_empty(objects: object) -> None:
    assert sample(PRESSURE | {"objects": objects}).members == ()


def test_objects_of_any_other_kind_are_its_own_affair() -> None:
    assert sample(SYSTOLIC | {"objects": 3}).members == ()


@pytest.mark.parametrize(
    ("member", "field", "code"),
    [
        (3, "", "malformed_record"),
        ({}, ".type", "missing_field"),
        ({"type": SYSTOLIC["type"]}, ".start", "missing_field"),
        (SYSTOLIC | {"value": "120"}, ".value", "wrong_type"),
        (SYSTOLIC | {"unit": "kg"}, ".unit", "unit_mismatch"),
        (SYSTOLIC | {"uuid": "x"}, ".uuid", "invalid_uuid"),
        (SYSTOLIC | {"source": {"name": 3}}, ".source.name", "wrong_type"),
        (SYSTOLIC | {"type": PRESSURE["type"]}, ".type", "nested_correlation"),
        (SYSTOLIC | {"type": "HKWorkoutTypeIdentifier"}, ".type", "nested_correlation"),
        (SYSTOLIC | {"type": "HKCharacteristicTypeIdentifierBloodType"}, ".type", "nested_correlation"),
    ],
)
def test_one_bad_member_refuses_the_correlation(member: object, field: str, code: str) -> None:
    bad, good = parse(PRESSURE | {"objects": [SYSTOLIC, member]}, PRESSURE)

    assert bad == Rejected(index=0, field=f"objects.1{field}", code=code, detail=reasons()[code])
    assert not isinstance(good, Rejected)


def test_objects_that_are_no_array() -> None:
    (outcome,) = parse(PRESSURE | {"objects": {"systolic": SYSTOLIC}})

    assert outcome == Rejected(index=0, field="objects", code="wrong_type", detail=reasons()["wrong_type"])


def test_a_naive_date_of_a_member_is_pointed_at() -> None:
    naive = SYSTOLIC | {"start": "2026-01-05T08:00:00"}
    correlation = {name: member for name, member in PRESSURE.items() if name != "time_zone"}
    body = {"samples": [correlation | {"objects": [SYSTOLIC, naive]}]}

    with pytest.raises(TimeZoneRequired) as caught:
        HealthKitFormat().split(json.dumps(body).encode(), time_zone=None)

    assert [error.pointer for error in caught.value.errors] == ["/samples/0/objects/1/start"]
    assert accepted({"samples": [PRESSURE | {"objects": [naive]}]})
    assert accepted(body | {"time_zone": "Europe/Berlin"})


def test_correlations_inside_each_other_cost_no_more_than_their_length() -> None:
    """A body of many levels is refused as a record, and never exhausts the stack."""
    depth = 400
    text = '{"type": "HKCorrelationTypeIdentifierFood", "start": "2026-01-05T08:00:00Z", "objects": [' * depth
    body = b'{"format": "healthkit", "samples": [' + text.encode() + b"]}" * depth + b"]}"

    envelope = HealthKitFormat().split(body, time_zone=None)
    (outcome,) = parse(json.loads(body)["samples"][0])

    assert len(envelope.records) == 1
    assert isinstance(outcome, Rejected)


@pytest.mark.parametrize("objects", [[SYSTOLIC, DIASTOLIC], [], None])
def test_what_the_schema_takes_is_taken(objects: object) -> None:
    body = {"samples": [PRESSURE | {"objects": objects}]}

    assert validator().is_valid(body), list(validator().iter_errors(body))
    assert accepted(body)


@pytest.mark.parametrize(
    "objects",
    [3, [3], [{}], [PRESSURE], [SYSTOLIC | {"unit": None}], [SYSTOLIC | {"type": "HKWorkoutTypeIdentifier"}]],
)
def test_what_the_schema_refuses_is_refused(objects: object) -> None:
    body = {"samples": [PRESSURE | {"objects": objects}]}

    assert not validator().is_valid(body)
    assert not accepted(body)
