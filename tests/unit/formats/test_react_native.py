from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from django_healthkit_ingest.core.formats.base import Envelope
from django_healthkit_ingest.core.formats.react_native import ReactNativeHealthKitFormat
from django_healthkit_ingest.core.registry import shipped_registry
from django_healthkit_ingest.core.rejections import reasons
from django_healthkit_ingest.core.samples import (
    Deletion,
    Device,
    Parsed,
    Rejected,
    Sample,
    Section,
    Source,
    Statistic,
    Statistics,
    ZoneBasis,
)
from django_healthkit_ingest.exceptions import InvalidEnvelope, TimeZoneRequired
from tests.unit.formats.examples import GONE, HISTORY, PRECISE, react_native_array

RATE, STEPS, MASS, OXYGEN, ENERGY, SLEEP, WORKOUT = react_native_array(HISTORY)


def parse(*elements: object, section: Section = Section.SAMPLES, time_zone: str | None = None) -> list[Parsed]:
    return list(
        ReactNativeHealthKitFormat().parse(
            json.dumps(elements).encode(),
            section=section,
            first_index=0,
            time_zone=time_zone,
            registry=shipped_registry(),
        )
    )


def statistics(element: object, *, section: Section = Section.SAMPLES) -> tuple[Statistic, ...]:
    (outcome,) = parse(element, section=section)
    assert isinstance(outcome, Statistics), outcome
    return outcome.values


def sample(element: object) -> Sample:
    (outcome,) = parse(element)
    assert isinstance(outcome, Sample), outcome
    return outcome


def split(body: object, *, time_zone: str | None = None) -> Envelope:
    return ReactNativeHealthKitFormat().split(json.dumps(body).encode(), time_zone=time_zone)


def without(element: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: member for key, member in element.items() if key not in names}


def test_a_quantity() -> None:
    (element,) = react_native_array(PRECISE)

    result = sample(element)

    assert (result.identifier, result.value, result.category) == ("HKQuantityTypeIdentifierHeartRate", 72.0, None)
    assert result.uuid == UUID(HISTORY[0].uuid)
    assert result.start == datetime(2026, 7, 1, 6, 0, 0, 123_000, tzinfo=UTC)
    assert (result.time_zone, result.zone_basis) == ("", ZoneBasis.NONE)
    assert result.source == Source(
        name="Ada's Watch",
        bundle_id="com.apple.health.0A1B",
        version="11.1",
        system_version="11.1.0",
        product_type="Watch7,11",
        device=Device(name="Apple Watch", manufacturer="Apple Inc.", hardware="Watch7,11"),
    )
    assert result.rank >> 57 == ReactNativeHealthKitFormat.fidelity
    assert result.details is None


def test_a_category_has_its_number_in_value() -> None:
    result = sample(SLEEP)

    assert (result.identifier, result.category, result.value) == ("HKCategoryTypeIdentifierSleepAnalysis", 4, None)


def test_quantities_in_the_metadata_stay_as_they_were_sent() -> None:
    assert json.loads(sample(RATE).metadata or "") == {"HKWeatherHumidity": {"quantity": 64, "unit": "%"}}


def test_the_zone_in_the_metadata() -> None:
    result = sample(RATE | {"metadata": {"HKTimeZone": "Europe/Lisbon"}})

    assert (result.time_zone, result.zone_basis) == ("Europe/Lisbon", ZoneBasis.METADATA)


@pytest.mark.parametrize(
    ("element", "identifier", "category"),
    [
        (WORKOUT, "HKWorkoutTypeIdentifier", 37),
        (without(WORKOUT, "sampleType"), "HKWorkoutTypeIdentifier", 37),
        (WORKOUT | {"sampleType": None}, "HKWorkoutTypeIdentifier", 37),
        (
            without(RATE, "quantityType", "quantity", "unit", "sampleType")
            | {"doseQuantity": 1, "logStatus": 4, "scheduleType": 2, "unit": "tablet"},
            "HKMedicationDoseEventTypeIdentifierMedicationDoseEvent",
            None,
        ),
        (
            without(RATE, "quantityType", "quantity", "unit", "sampleType")
            | {"clinicalType": "HKClinicalTypeIdentifierImmunizationRecord", "displayName": "Tetanus"},
            "HKClinicalTypeIdentifierImmunizationRecord",
            None,
        ),
        (
            without(RATE, "quantityType", "quantity", "unit", "sampleType") | {"valence": 0.4, "kind": 1},
            "HKDataTypeStateOfMind",
            None,
        ),
        (
            without(RATE, "quantityType", "quantity", "unit")
            | {"correlationType": "HKCorrelationTypeIdentifierFood", "objects": [RATE]},
            "HKCorrelationTypeIdentifierFood",
            None,
        ),
        (
            without(RATE, "quantityType", "quantity", "unit")
            | {"sampleType": {"identifier": "HKElectrocardiogramType"}, "value": "odd"},
            "HKDataTypeIdentifierElectrocardiogram",
            None,
        ),
    ],
)
def test_structures_are_kept_whole(element: dict[str, Any], identifier: str, category: int | None) -> None:
    result = sample(element)

    assert (result.identifier, result.known, result.category) == (identifier, True, category)
    assert json.loads(result.details or "") == element


@pytest.mark.parametrize(
    ("members", "identifier", "bulky", "name"),
    [
        (
            {"heartbeats": [{"timeSinceSeriesStart": 0.8, "precededByGap": False}]},
            "HKDataTypeIdentifierHeartbeatSeries",
            "heartbeats",
            "beats",
        ),
        (
            {
                "classification": "sinusRhythm",
                "numberOfVoltageMeasurements": 1,
                "voltages": [{"timeSinceSampleStart": 0, "voltage": 0.00012, "lead": "appleWatchSimilarToLeadI"}],
            },
            "HKDataTypeIdentifierElectrocardiogram",
            "voltages",
            "voltages",
        ),
        (
            {"HKMetadataKeySyncVersion": 2, "locations": [{"latitude": 52.5, "longitude": 13.4, "altitude": 34}]},
            "HKWorkoutRouteTypeIdentifier",
            "locations",
            "locations",
        ),
    ],
)
def test_bulky_members_are_kept_apart(members: dict[str, Any], identifier: str, bulky: str, name: str) -> None:
    element = without(RATE, "quantityType", "quantity", "unit", "sampleType") | members

    result = sample(element)

    assert (result.identifier, [(each.name, each.points) for each in result.series]) == (identifier, [(name, 1)])
    assert json.loads(result.details or "") == without(element, bulky)


def test_an_activity_summary_has_a_day_and_no_type() -> None:
    summary = {"dateYear": 2026, "dateMonth": 1, "dateDay": 5, "activeEnergyBurned": 431.5, "appleStandHours": 11}

    (kept,) = statistics(summary)

    assert (kept.identifier, kept.aggregation) == ("HKActivitySummaryTypeIdentifier", "whole")
    assert (kept.start, kept.preference) == (datetime(2026, 1, 5, tzinfo=UTC), 431.5)
    assert json.loads(kept.details or "") == summary
    assert statistics(summary | {"activeEnergyBurned": 500})[0].key == kept.key


def test_a_characteristic_needs_no_date() -> None:
    (kept,) = statistics({"sampleType": {"identifier": "HKCharacteristicTypeIdentifierBloodType"}, "value": 7})

    assert (kept.identifier, kept.value, kept.preference) == ("HKCharacteristicTypeIdentifierBloodType", 7.0, 0.0)


RESULT: dict[str, Any] = {
    "quantityType": "HKQuantityTypeIdentifierHeartRate",
    "startDate": "2026-07-01T00:00:00.000Z",
    "endDate": "2026-07-02T00:00:00.000Z",
    "averageQuantity": {"quantity": 1.2, "unit": "count/s"},
    "minimumQuantity": {"quantity": 48, "unit": "count/min"},
    "mostRecentQuantityDateInterval": {"from": "2026-07-01T23:59:00.000Z", "to": "2026-07-01T23:59:00.000Z"},
    "duration": {"quantity": 2, "unit": "hr"},
    "sumQuantity": None,
    "sources": [{"name": "Ada's Watch", "bundleIdentifier": "com.apple.health.0A1B"}],
}


def test_the_result_of_a_statistics_query_explodes() -> None:
    values = statistics(RESULT, section=Section.STATISTICS)

    assert [(each.aggregation, each.value, each.unit) for each in values] == [
        ("average", 72.0, ""),
        ("minimum", 48.0, ""),
        ("duration", 7200.0, "s"),
    ]
    assert {(each.start, each.end) for each in values} == {
        (datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 7, 2, tzinfo=UTC))
    }
    assert {(each.source, each.details) for each in values} == {(None, None)}


def test_the_result_of_one_source_is_that_sources() -> None:
    alone = without(RESULT, "sources") | {
        "source": {"name": "Ada's Watch", "bundleIdentifier": "com.apple.health.0A1B"}
    }

    values = statistics(alone, section=Section.STATISTICS)

    assert {each.source for each in values} == {Source(name="Ada's Watch", bundle_id="com.apple.health.0A1B")}
    assert not {each.key for each in values} & {each.key for each in statistics(RESULT, section=Section.STATISTICS)}


def test_a_statistic_of_our_envelope() -> None:
    element = {
        "type": "HKQuantityTypeIdentifierStepCount",
        "aggregation": "sum",
        "start": "2026-07-01T00:00:00Z",
        "value": 8421,
        "unit": "count",
        "duration": 600,
    }

    (kept,) = statistics(element, section=Section.STATISTICS)

    assert (kept.aggregation, kept.value) == ("sum", 8421.0)


@pytest.mark.parametrize(
    ("element", "field", "code"),
    [
        (without(RESULT, "quantityType"), "quantityType", "missing_field"),
        (without(RESULT, "startDate"), "startDate", "missing_field"),
        (RESULT | {"startDate": "soon"}, "startDate", "invalid_date"),
        (RESULT | {"endDate": "2020-07-01T00:00:00Z"}, "endDate", "end_before_start"),
        (RESULT | {"quantityType": "x" * 200}, "quantityType", "too_long"),
        (RESULT | {"minimumQuantity": {"quantity": "48"}}, "minimumQuantity.quantity", "wrong_type"),
        (RESULT | {"minimumQuantity": {"unit": "count/min"}}, "minimumQuantity.quantity", "missing_field"),
        (RESULT | {"minimumQuantity": {"quantity": 48}}, "minimumQuantity.unit", "missing_unit"),
        (RESULT | {"minimumQuantity": 48}, "minimumQuantity", "wrong_type"),
        (RESULT | {"duration": {"quantity": 1, "unit": "kg"}}, "duration.unit", "unit_mismatch"),
        (RESULT | {"source": {"bundleIdentifier": "x" * 300}}, "source.bundleIdentifier", "too_long"),
        (
            without(RESULT, "averageQuantity", "minimumQuantity", "duration"),
            "sumQuantity",
            "missing_field",
        ),
    ],
)
def test_a_result_is_stored_whole_or_not_at_all(element: object, field: str, code: str) -> None:
    (outcome,) = parse(element, section=Section.STATISTICS)

    assert outcome == Rejected(index=0, field=field, code=code, detail=reasons()[code])


@pytest.mark.parametrize(
    ("element", "field", "code"),
    [
        ({"dateYear": 2026, "dateMonth": 13, "dateDay": 1}, "dateDay", "invalid_date"),
        ({"dateYear": 2026, "dateMonth": "1", "dateDay": 1}, "dateMonth", "wrong_type"),
        ({"dateYear": 2026, "dateDay": 1}, "dateMonth", "missing_field"),
        ({"sampleType": {"identifier": "HKActivitySummaryTypeIdentifier"}}, "startDate", "missing_field"),
    ],
)
def test_a_summary_without_a_day(element: object, field: str, code: str) -> None:
    (outcome,) = parse(element)

    assert outcome == Rejected(index=0, field=field, code=code, detail=reasons()[code])


FOOD: dict[str, Any] = {
    "uuid": "F00D0000-1111-4000-8000-000000000001",
    "correlationType": "HKCorrelationTypeIdentifierFood",
    "startDate": "2026-07-01T10:00:00.000Z",
    "endDate": "2026-07-01T10:00:00.000Z",
    "metadata": {"HKFoodType": "Porridge"},
    "sourceRevision": RATE["sourceRevision"],
    "objects": [
        {
            "uuid": "F00D0000-1111-4000-8000-00000000000A",
            "quantityType": "HKQuantityTypeIdentifierDietaryEnergyConsumed",
            "quantity": 1000,
            "unit": "kJ",
            "startDate": "2026-07-01T10:00:00.000Z",
            "endDate": "2026-07-01T10:00:00.000Z",
        }
    ],
}


def test_a_correlation_holds_its_members() -> None:
    result = sample(FOOD)

    (energy,) = result.members
    assert (energy.index, energy.uuid) == (0, UUID(FOOD["objects"][0]["uuid"]))
    assert energy.value == pytest.approx(239.0057)
    assert energy.source == result.source is not None
    assert json.loads(result.details or "") == FOOD


@pytest.mark.parametrize(
    ("member", "field", "code"),
    [
        ({"quantity": "1000"}, "quantity", "wrong_type"),
        ({"startDate": "soon"}, "startDate", "invalid_date"),
        ({"sourceRevision": {"productType": "x" * 300}}, "sourceRevision.productType", "too_long"),
        ({"quantityType": None, "correlationType": "HKCorrelationTypeIdentifierFood"}, "correlationType",
         "nested_correlation"),
    ],
)  # fmt: skip
def test_one_bad_member_refuses_the_correlation(member: dict[str, Any], field: str, code: str) -> None:
    bad = FOOD["objects"][0] | member

    (outcome,) = parse(FOOD | {"objects": [FOOD["objects"][0], bad]})

    assert outcome == Rejected(index=0, field=f"objects.1.{field}", code=code, detail=reasons()[code])


def test_a_type_of_the_future_is_kept_whole() -> None:
    element = RATE | {"quantityType": "HKQuantityTypeIdentifierNew", "unit": "parsec"}

    result = sample(element)

    assert (result.identifier, result.known, result.value, result.unit) == (
        "HKQuantityTypeIdentifierNew", False, 72.0, "parsec",
    )  # fmt: skip
    assert json.loads(result.details or "") == element


@pytest.mark.parametrize("missing", ["sourceRevision", "device", "metadata", "sampleType", "uuid", "endDate"])
@pytest.mark.parametrize("null", [False, True])
def test_what_may_be_missing(missing: str, null: bool) -> None:
    element = without(RATE, missing) | ({missing: None} if null else {})

    assert sample(element).fingerprint == sample(RATE).fingerprint


@pytest.mark.parametrize(
    ("element", "field", "code"),
    [
        (3, "", "malformed_record"),
        ({}, "sampleType.identifier", "missing_field"),
        (without(RATE, "startDate"), "startDate", "missing_field"),
        (without(RATE, "quantityType", "sampleType"), "sampleType.identifier", "missing_field"),
        (without(RATE, "quantityType") | {"sampleType": 3}, "sampleType", "wrong_type"),
        (without(RATE, "quantityType") | {"sampleType": {"identifier": 3}}, "sampleType.identifier", "wrong_type"),
        (RATE | {"startDate": "soon"}, "startDate", "invalid_date"),
        (RATE | {"startDate": "2026-07-01T08:00:00"}, "startDate", "naive_date"),
        (RATE | {"endDate": "2020-07-01T08:00:00Z"}, "endDate", "end_before_start"),
        (RATE | {"quantity": None}, "quantity", "missing_field"),
        (RATE | {"quantity": "72"}, "quantity", "wrong_type"),
        (RATE | {"value": "72"}, "value", "wrong_type"),
        (RATE | {"unit": "kg"}, "unit", "unit_mismatch"),
        (without(RATE, "unit"), "unit", "missing_unit"),
        (SLEEP | {"value": 1.5}, "value", "wrong_type"),
        (without(SLEEP, "value"), "value", "missing_field"),
        (SLEEP | {"value": 2**40}, "value", "number_out_of_range"),
        (RATE | {"uuid": "x"}, "uuid", "invalid_uuid"),
        (RATE | {"uuid": str(UUID(int=0))}, "uuid", "invalid_uuid"),
        (RATE | {"quantityType": "x" * 200}, "quantityType", "too_long"),
        (RATE | {"device": {"hardwareVersion": "x" * 300}}, "device.hardwareVersion", "too_long"),
        (RATE | {"device": {"hardwareVersion": 3}}, "device.hardwareVersion", "wrong_type"),
        (RATE | {"device": []}, "device", "wrong_type"),
        (RATE | {"sourceRevision": {"source": {"name": "\0"}}}, "sourceRevision.source.name", "nul_character"),
        (RATE | {"sourceRevision": {"source": 3}}, "sourceRevision.source", "wrong_type"),
        (RATE | {"sourceRevision": {"productType": "x" * 300}}, "sourceRevision.productType", "too_long"),
        (RATE | {"metadata": 3}, "metadata", "wrong_type"),
    ],
)
def test_one_bad_record_never_sinks_its_neighbours(element: object, field: str, code: str) -> None:
    before, outcome, after = parse(RATE, element, SLEEP)

    assert isinstance(before, Sample) and isinstance(after, Sample)
    assert outcome == Rejected(index=1, field=field, code=code, detail=reasons()[code])


def test_metadata_of_one_record_do_not_leak_into_the_next() -> None:
    first, second = parse(RATE, RATE | {"metadata": {}, "device": None})

    assert isinstance(first, Sample) and isinstance(second, Sample)
    assert (first.metadata is None, second.metadata) == (False, None)
    assert second.source is not None and second.source.device is None


def test_a_result_of_an_anchored_query() -> None:
    body = {"samples": [RATE, SLEEP], "deletedSamples": [{"uuid": GONE, "metadata": {}}], "newAnchor": "YQ"}

    envelope = split(body)

    assert {section: len(raws) for section, raws in envelope.records.items()} == {
        Section.SAMPLES: 2,
        Section.DELETIONS: 1,
    }
    assert envelope.warnings == ("newAnchor",)
    (deletion,) = parse({"uuid": GONE, "metadata": {}}, section=Section.DELETIONS)
    assert deletion == Deletion(index=0, uuid=UUID(GONE))


@pytest.mark.parametrize("name", ["samples", "workouts", "correlations", "clinicalRecords", "records"])
def test_every_kind_of_query_has_its_own_name_for_samples(name: str) -> None:
    envelope = split({name: [WORKOUT], "deletedSamples": [], "newAnchor": None})

    assert {section: len(raws) for section, raws in envelope.records.items()} == {Section.SAMPLES: 1}
    assert envelope.warnings == ()


def test_clinical_records_have_their_own_name_for_deletions_too() -> None:
    body = {"records": [], "deletedRecords": [{"uuid": GONE}], "newAnchor": "YQ"}

    envelope = split(body)

    assert ReactNativeHealthKitFormat().recognises(json.dumps(body).encode())
    assert {section: len(raws) for section, raws in envelope.records.items()} == {Section.DELETIONS: 1}


def test_our_envelope() -> None:
    body = {
        "format": "react_native_healthkit",
        "lane": "BACKFILL",
        "device": {"id": "6F0C"},
        "samples": [RATE],
        "workouts": [WORKOUT],
        "deletions": [{"uuid": GONE}],
        "deletedSamples": [{"uuid": GONE}],
        "colour": 1,
    }

    envelope = split(body)

    assert {section: len(raws) for section, raws in envelope.records.items()} == {
        Section.SAMPLES: 2,
        Section.DELETIONS: 2,
    }
    assert (envelope.lane, envelope.device, envelope.warnings) == ("BACKFILL", {"id": "6F0C"}, ("colour",))


def test_a_bare_array() -> None:
    assert len(split([RATE, SLEEP]).records[Section.SAMPLES]) == 2


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"format": "react_native_healthkit"}, "/samples", "missing_field"),
        ({"deletedSamples": [], "newAnchor": "YQ"}, "/samples", "missing_field"),
        ({"samples": None}, "/samples", "wrong_type"),
        ({"samples": [], "deletedSamples": {}}, "/deletedSamples", "wrong_type"),
        ({"workouts": 3}, "/workouts", "wrong_type"),
        ({"samples": [], "format": "healthkit"}, "/format", "format_mismatch"),
    ],
)
def test_every_fault_of_the_envelope_has_its_pointer(body: object, pointer: str, code: str) -> None:
    with pytest.raises(InvalidEnvelope) as caught:
        split(body)

    assert [(error.pointer, error.code) for error in caught.value.errors] == [(pointer, code)]


def test_naive_dates_need_a_zone() -> None:
    naive = {"startDate": "2026-07-01T08:00:00", "endDate": "2026-07-01T08:00:00"}
    body = {"samples": [RATE], "workouts": [WORKOUT | naive, WORKOUT | naive | {"metadata": {"HKTimeZone": "UTC"}}]}

    with pytest.raises(TimeZoneRequired) as caught:
        split(body)

    assert [error.pointer for error in caught.value.errors] == ["/workouts/0/startDate", "/workouts/0/endDate"]
    assert split(body, time_zone="Europe/Berlin").time_zone == "Europe/Berlin"
