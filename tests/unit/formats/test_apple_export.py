"""What the elements of an export become."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_healthkit_ingest.core.encodings import decompress
from django_healthkit_ingest.core.registry import SampleKind, shipped_registry
from django_healthkit_ingest.core.rejections import reasons
from django_healthkit_ingest.core.samples import Device, Rejected, Sample, Section, Statistics, ZoneBasis
from tests.unit.formats.apple_export_examples import (
    BLOOD_PRESSURE,
    DATES,
    FROM,
    STEPS,
    SUMMARY,
    WORKOUT,
    document,
    parse,
    parsed,
    read,
    whole_archive,
)

DEVICE = (
    'device="&lt;&lt;HKDevice: 0x2834ef{}&gt;, name:Apple Watch, manufacturer:Apple Inc., model:Watch,'
    ' hardware:Watch7,11, software:11.1&gt;"'
)
PULSE = (
    f' <Record type="HKQuantityTypeIdentifierHeartRate" {FROM} {DEVICE.format("0c0")} unit="count/s" {DATES}'
    ' value="1.2">\n  <MetadataEntry key="HKTimeZone" value="Asia/Tokyo"/>\n'
    '  <MetadataEntry key="Average HR" value="62 bpm"/>\n </Record>\n'
)
START = datetime(2026, 1, 5, 7, tzinfo=UTC)


def record(type_name: str, **attributes: str) -> str:
    listed = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    return f' <Record type="{type_name}" {FROM} {DATES} {listed}/>\n'


def series(sample: Sample) -> dict[str, Any]:
    return {each.name: json.loads(decompress(each.payload)) for each in sample.series}


def test_a_quantity() -> None:
    (pulse,) = parsed(PULSE)

    assert pulse.identifier == "HKQuantityTypeIdentifierHeartRate"
    assert pulse.uuid is None
    assert pulse.value == pytest.approx(72)
    assert (pulse.start, (pulse.end - pulse.start).total_seconds()) == (START, 300)
    assert (pulse.time_zone, pulse.zone_basis) == ("Asia/Tokyo", ZoneBasis.METADATA)
    assert json.loads(pulse.metadata) == {"HKTimeZone": "Asia/Tokyo", "Average HR": "62 bpm"}
    assert pulse.details is None


def test_a_source_is_known_by_its_folded_name_and_device_without_pointer() -> None:
    first, second = parsed(PULSE, PULSE.replace("0x2834ef0c0", "0x1"))

    assert first.source == second.source
    assert (first.source.name, first.source.version, first.source.bundle_id) == ("Ada’s Watch", "11.1", "")
    assert first.source.device == Device(
        name="Apple Watch", manufacturer="Apple Inc.", model="Watch", hardware="Watch7,11", software="11.1"
    )


def test_the_offset_is_the_zone_where_no_other_is_known() -> None:
    (steps,) = parsed(STEPS)

    assert (steps.time_zone, steps.zone_basis) == ("+01:00", ZoneBasis.OFFSET)


@pytest.mark.parametrize(
    ("type_name", "value", "category"),
    [
        ("HKCategoryTypeIdentifierSleepAnalysis", "HKCategoryValueSleepAnalysisAsleepREM", 5),
        ("HKCategoryTypeIdentifierSleepAnalysis", "HKCategoryValueSleepAnalysisAsleep", 1),
        ("HKCategoryTypeIdentifierAppleStandHour", "HKCategoryValueAppleStandHourIdle", 1),
        ("HKCategoryTypeIdentifierAudioExposureEvent", "HKCategoryValueAudioExposureEventLoudEnvironment", 1),
        ("HKCategoryTypeIdentifierHeadache", "HKCategoryValueSeverityMild", 2),
        ("HKCategoryTypeIdentifierLowHeartRateEvent", "HKCategoryValueNotApplicable", 0),
        ("HKCategoryTypeIdentifierSleepAnalysis", "4", 4),
        ("HKCategoryTypeIdentifierMindfulSession", None, 0),
        ("HKCategoryTypeIdentifierHandwashingEvent", None, 0),
    ],
)
def test_a_category_is_written_as_the_name_of_its_constant(type_name: str, value: str | None, category: int) -> None:
    (sample,) = parsed(record(type_name, **({"value": value} if value is not None else {})))

    assert (sample.category, sample.value) == (category, None)


def test_every_constant_of_the_catalogue_is_known() -> None:
    for sample_type in shipped_registry():
        if sample_type.kind is SampleKind.WORKOUT:
            for number, name in sample_type.category_values.items():
                (workout,) = parsed(WORKOUT.replace("HKWorkoutActivityTypeRunning", f"HKWorkoutActivityType{name}"))
                assert workout.category == number


@pytest.mark.parametrize(
    ("sent", "field", "code"),
    [
        (record("HKQuantityTypeIdentifierStepCount", unit="count", value="many"), "value", "wrong_type"),
        (record("HKQuantityTypeIdentifierStepCount", unit="count", value="1_0"), "value", "wrong_type"),
        (record("HKQuantityTypeIdentifierStepCount", unit="count", value="nan"), "value", "wrong_type"),
        (record("HKQuantityTypeIdentifierStepCount", unit="count"), "value", "missing_field"),
        (record("HKQuantityTypeIdentifierStepCount", value="1"), "unit", "missing_unit"),
        (record("HKQuantityTypeIdentifierStepCount", unit="kg", value="1"), "unit", "unit_mismatch"),
        (record("HKCategoryTypeIdentifierSleepAnalysis", value="Deep"), "value", "value_unknown"),
        (record("HKCategoryTypeIdentifierSleepAnalysis"), "value", "missing_field"),
        (STEPS.replace("startDate", "sartDate"), "startDate", "missing_field"),
        (STEPS.replace("2026-01-05 08:00:00 +0100", "yesterday"), "startDate", "invalid_date"),
        (STEPS.replace("08:05:00", "07:05:00"), "endDate", "end_before_start"),
        (STEPS.replace("type=", "tipe="), "type", "missing_field"),
        (STEPS.replace("Ada", "A" * 300), "sourceName", "too_long"),
        (SUMMARY.replace("dateComponents", "day"), "dateComponents", "missing_field"),
        (SUMMARY.replace("2026-01-05", "2026-13-05"), "dateComponents", "invalid_date"),
        (BLOOD_PRESSURE.replace('"79"', '"low"'), "children.1.value", "wrong_type"),
        (BLOOD_PRESSURE.replace('unit="mmHg"', 'unit="kg"', 1), "children.0.unit", "unit_mismatch"),
        (' <VisionPrescription type="glasses"/>\n', "dateIssued", "missing_field"),
    ],
)
def test_a_bad_record_is_rejected_by_field_and_code(sent: str, field: str, code: str) -> None:
    rejected, steps = parsed(sent, STEPS)

    assert (rejected.index, rejected.field, rejected.code) == (0, field, code)
    assert rejected.detail == reasons()[code]
    assert isinstance(steps, Sample)


@pytest.mark.parametrize("fault", ["malformed_element", "malformed_file", "too_long"])
def test_what_could_not_be_read_is_rejected_with_its_fault(fault: str) -> None:
    (rejected,) = parse([json.dumps({"element": "", "fault": fault}).encode()])

    assert isinstance(rejected, Rejected)
    assert (rejected.field, rejected.code) == ("", fault)


def test_a_correlation_holds_its_members() -> None:
    (pressure,) = parsed(BLOOD_PRESSURE)

    assert pressure.identifier == "HKCorrelationTypeIdentifierBloodPressure"
    assert [(member.identifier[-9:], member.value) for member in pressure.members] == [
        ("eSystolic", 121), ("Diastolic", 79)
    ]  # fmt: skip
    assert all(member.index == pressure.index and member.details is None for member in pressure.members)


def test_a_member_is_the_same_record_inside_and_outside() -> None:
    inside = parsed(BLOOD_PRESSURE)[0].members[0]
    (outside,) = parsed(record("HKQuantityTypeIdentifierBloodPressureSystolic", unit="mmHg", value="121"))

    assert inside == outside


def test_a_workout_is_kept_whole() -> None:
    (workout,) = parsed(WORKOUT)
    details = json.loads(workout.details)

    assert (workout.identifier, workout.category) == ("HKWorkoutTypeIdentifier", 37)
    assert json.loads(workout.metadata) == {"HKWeatherTemperature": "41 degF"}
    assert (details["duration"], details["durationUnit"]) == ("31.5", "min")
    assert details["children"][1]["average"] == "141"
    assert details["children"][2]["children"][0]["path"] == "/workout-routes/route_1.gpx"


def test_a_workout_of_an_unknown_activity_is_kept() -> None:
    (workout,) = parsed(WORKOUT.replace("TypeRunning", "TypeMoonwalk"))

    assert (workout.identifier, workout.category) == ("HKWorkoutTypeIdentifier", None)


def test_pointers_do_not_make_two_workouts_differ() -> None:
    first, second = (
        parsed(WORKOUT.replace("duration=", f"{DEVICE.format(pointer)} duration=", 1))[0] for pointer in ("0c0", "fff")
    )

    assert first.details == second.details
    assert first.rank == second.rank


def test_records_inside_a_workout_are_its_members_and_never_its_ruin() -> None:
    effort = record("HKQuantityTypeIdentifierWorkoutEffortScore", unit="appleEffortScore", value="7")
    (workout,) = parsed(WORKOUT.replace(" </Workout>", f" {effort} {effort.replace('7', 'high')} </Workout>"))

    assert [(member.identifier[-11:], member.value) for member in workout.members] == [("EffortScore", 7)]
    assert [each["value"] for each in json.loads(workout.details)["children"][-2:]] == ["7", "high"]


def test_locations_inside_a_workout_are_kept_apart() -> None:
    location = '<Location date="2017-01-05 08:00:00 +0100" latitude="52.5" longitude="13.4"/>'
    (workout,) = parsed(WORKOUT.replace("   <FileReference", f"   {location}{location}<FileReference"))

    assert [each["latitude"] for each in series(workout)["locations"]] == ["52.5", "52.5"]
    assert "Location" not in workout.details
    assert "FileReference" in workout.details


def test_beats_are_kept_apart() -> None:
    beats = (
        "<HeartRateVariabilityMetadataList>"
        '<InstantaneousBeatsPerMinute bpm="61" time="8:00:01.20\u202fAM"/><InstantaneousBeatsPerMinute bpm="62"/>'
        "</HeartRateVariabilityMetadataList></Record>"
    )
    sent = record("HKQuantityTypeIdentifierHeartRateVariabilitySDNN", unit="ms", value="40.5").replace(
        "/>", f">{beats}"
    )
    (variability,) = parsed(sent)

    assert variability.value == 40.5
    assert [each["bpm"] for each in series(variability)["beats"]] == ["61", "62"]


def test_an_activity_summary_is_a_statistic_of_its_day() -> None:
    first, again, next_day = parsed(
        SUMMARY, SUMMARY.replace("310.5", "12"), SUMMARY.replace("2026-01-05", "2026-01-06"), time_zone="Asia/Tokyo"
    )
    (utc,) = parsed(SUMMARY)

    assert all(isinstance(each, Statistics) for each in (first, again, next_day, utc))
    assert first.values[0].aggregation == "whole"
    assert first.values[0].key == again.values[0].key == utc.values[0].key != next_day.values[0].key
    assert first.values[0].preference > again.values[0].preference
    assert json.loads(first.values[0].details)["appleStandHours"] == "9"


def test_the_person_becomes_characteristics() -> None:
    sent = {
        "element": "Me",
        "HKCharacteristicTypeIdentifierDateOfBirth": "1815-12-10",
        "HKCharacteristicTypeIdentifierBloodType": "HKBloodTypeAPositive",
        "exportDate": "2026-02-01 09:00:00 +0100",
    }
    (person,) = parse([json.dumps(sent).encode()], section=Section.STATISTICS)

    assert isinstance(person, Statistics)
    assert [each.identifier[-11:] for each in person.values] == ["erBloodType", "DateOfBirth"]
    assert person.values[1].details == '{"value":"1815-12-10"}'
    assert person.values[0].start == datetime(2026, 2, 1, 8, tzinfo=UTC)


def test_a_sample_is_no_statistic() -> None:
    (rejected,) = parse((record for _, record in read(whole_archive())[:1]), section=Section.STATISTICS)

    assert isinstance(rejected, Rejected)
    assert (rejected.field, rejected.code) == ("element", "value_unknown")


def test_the_other_files_of_a_zip_become_samples() -> None:
    outcomes = {
        outcome.identifier: outcome
        for outcome in parse(record for _, record in read(whole_archive()))
        if isinstance(outcome, Sample)
    }
    route = outcomes["HKWorkoutRouteTypeIdentifier"]
    ecg = outcomes["HKDataTypeIdentifierElectrocardiogram"]
    clinical = outcomes["HKClinicalTypeIdentifierVitalSignRecord"]

    assert (route.start, route.end) == (START, datetime(2026, 1, 5, 7, 5, tzinfo=UTC))
    assert series(route)["locations"][0] == {
        "lat": 52.500001, "lon": 13.400001, "ele": 34.5, "time": "2026-01-05T07:00:00Z", "speed": 2.5, "course": 90,
        "hAcc": 4, "vAcc": 3,
    }  # fmt: skip
    assert json.loads(route.details or "")["file"] == "/workout-routes/route_1.gpx"
    assert series(ecg)["voltages"] == [-265.868, 1.5, 0, 12]
    assert "voltages" not in json.loads(ecg.details or "")
    assert ecg.source is not None
    assert ecg.source.product_type == "Watch7,11"
    assert clinical.start == START
    assert json.loads(clinical.details or "")["resource"]["resourceType"] == "Observation"


AUDIOGRAM = (
    f' <Audiogram type="HKDataTypeIdentifierAudiogram" {FROM} {DATES}><SensitivityPoint frequencyValue="250"'
    ' frequencyUnit="Hz" leftEarValue="10" leftEarUnit="dBHL"/></Audiogram>\n'
)
PRESCRIPTION = (
    ' <VisionPrescription type="HKVisionPrescriptionTypeGlasses" dateIssued="2026-01-05">'
    '<RightEye sphere="-1.25" sphereUnit="D"/></VisionPrescription>\n'
)
IMMUNIZATION = (
    ' <ClinicalRecord type="Immunization" identifier="i" sourceName="Clinic" fhirVersion="4.0.1"'
    ' receivedDate="2026-01-05 08:00:00 +0100"/>\n'
)
STATE_OF_MIND = f' <StateOfMind type="HKDataTypeStateOfMind" {FROM} {DATES} valence="0.5"/>\n'


@pytest.mark.parametrize(
    ("sent", "identifier"),
    [
        (AUDIOGRAM, "HKDataTypeIdentifierAudiogram"),
        (PRESCRIPTION, "HKVisionPrescriptionTypeIdentifier"),
        (IMMUNIZATION, "HKClinicalTypeIdentifierImmunizationRecord"),
        (STATE_OF_MIND, "HKDataTypeStateOfMind"),
        (record("HKDataTypeSleepDurationGoal", unit="hr", value="8"), "HKDataTypeSleepDurationGoal"),
        (record("HKQuantityTypeIdentifierOfTomorrow", unit="count", value="8"), "HKQuantityTypeIdentifierOfTomorrow"),
    ],
)
def test_other_elements_are_kept_whole(sent: str, identifier: str) -> None:
    (sample,) = parsed(sent)

    assert sample.identifier == identifier
    assert isinstance(json.loads(sample.details), dict)


TEXTS = st.text(max_size=8) | st.sampled_from(["\0", "\ud83d", "2026-01-05 08:00:00 +0100", "1", "x" * 300])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from([10**400, 2**64]) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS | st.just("element"), inner, max_size=3),
    max_leaves=6,
)
NAMES = [
    "", "Record", "Correlation", "Workout", "ActivitySummary", "Me", "ClinicalRecord", "Route", "Electrocardiogram",
    "VisionPrescription", "Audiogram", "Else", "WorkoutRoute", "Location", "HeartRateVariabilityMetadataList",
]  # fmt: skip
MEMBERS = [
    "unit", "value", "sourceName", "sourceVersion", "device", "endDate", "metadata", "dateComponents", "fault",
    "workoutActivityType", "dateIssued", "receivedDate", "locations", "voltages", "resource", "exportDate",
    "HKCharacteristicTypeIdentifierDateOfBirth",
]  # fmt: skip
NODES = st.recursive(
    st.fixed_dictionaries(
        {
            "element": st.sampled_from(NAMES) | JSON,
            "startDate": st.just("2026-01-05 08:00:00 +0100") | JSON,
            "type": st.sampled_from(["HKQuantityTypeIdentifierStepCount", "HKCategoryTypeIdentifierSleepAnalysis"])
            | JSON,
        },
        optional=dict.fromkeys(MEMBERS, JSON),
    ),
    lambda inner: st.fixed_dictionaries(
        {
            "element": st.sampled_from(NAMES),
            "startDate": st.just("2026-01-05 08:00:00 +0100"),
            "type": st.just("HKCorrelationTypeIdentifierFood"),
            "children": st.lists(inner | JSON, max_size=3) | JSON,
        }
    ),
    max_leaves=4,
)


@settings(deadline=None)
@given(records=st.lists(NODES | JSON, max_size=4), section=st.sampled_from([Section.SAMPLES, Section.STATISTICS]))
def test_any_record_has_one_outcome(records: list[Any], section: Section) -> None:
    outcomes = parse((json.dumps(each).encode() for each in records), section=section)

    assert [outcome.index for outcome in outcomes] == list(range(len(records)))
    for outcome in outcomes:
        if isinstance(outcome, Rejected):
            assert outcome.detail == reasons()[outcome.code]


def test_only_a_record_of_the_top_level_has_members() -> None:
    inner = json.loads(read(document(STEPS))[0][1])
    for _ in range(300):
        inner = inner | {"children": [inner]}
    (correlation,) = parse([json.dumps(inner | {"element": "Correlation", "children": [inner]}).encode()])

    assert isinstance(correlation, Rejected | Sample)
    assert not isinstance(correlation, Sample) or all(not member.members for member in correlation.members)
