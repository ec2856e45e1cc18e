from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping

import pytest

from django_healthkit_ingest.core.catalogue import load
from django_healthkit_ingest.core.formats.flutter_values import names
from django_healthkit_ingest.core.registry import SampleKind, SampleType, SampleTypeRegistry, shipped_registry
from django_healthkit_ingest.core.units import converter
from django_healthkit_ingest.exceptions import DuplicateSampleType, InvalidSampleType

HEART_RATE = "HKQuantityTypeIdentifierHeartRate"


def test_shipped_types_by_kind() -> None:
    kinds = [sample_type.kind for sample_type in shipped_registry()]

    assert len(kinds) == len(shipped_registry()) == 224
    assert kinds.count(SampleKind.QUANTITY) == 121
    assert kinds.count(SampleKind.CATEGORY) == 71


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        (HEART_RATE, HEART_RATE),
        ("HKCategoryTypeIdentifierEnvironmentalAudioExposureEvent", "HKCategoryTypeIdentifierAudioExposureEvent"),
        ("HKDataTypeIdentifierStateOfMind", "HKDataTypeStateOfMind"),
        ("HKElectrocardiogramType", "HKDataTypeIdentifierElectrocardiogram"),
        ("HKAudiogramSampleType", "HKDataTypeIdentifierAudiogram"),
    ],
)
def test_names_on_the_wire_find_the_type(name: str, identifier: str) -> None:
    sample_type = shipped_registry().get(name)

    assert sample_type is not None
    assert sample_type.identifier == identifier
    assert name in shipped_registry()


def test_an_unknown_name_is_no_error() -> None:
    assert shipped_registry().get("HKQuantityTypeIdentifierOfTheFuture") is None


def test_every_quantity_has_a_unit_and_every_category_has_names() -> None:
    for sample_type in shipped_registry():
        assert (sample_type.kind is SampleKind.QUANTITY) == bool(sample_type.canonical_unit)
        assert sample_type.kind is not SampleKind.CATEGORY or sample_type.category_values
        assert sample_type.group


@pytest.mark.parametrize(
    ("identifier", "number", "name"),
    [
        ("HKCategoryTypeIdentifierSleepAnalysis", 1, "AsleepUnspecified"),
        ("HKCategoryTypeIdentifierSleepAnalysis", 5, "AsleepREM"),
        ("HKCategoryTypeIdentifierAppleStandHour", 0, "Stood"),
        ("HKCategoryTypeIdentifierOvulationTestResult", 2, "LuteinizingHormoneSurge"),
        ("HKCategoryTypeIdentifierMindfulSession", 0, "NotApplicable"),
        ("HKWorkoutTypeIdentifier", 37, "Running"),
    ],
)
def test_category_values_are_named(identifier: str, number: int, name: str) -> None:
    sample_type = shipped_registry().get(identifier)

    assert sample_type is not None
    assert sample_type.category_values[number] == name


AGGREGATIONS = {
    "cumulative",
    "discrete_arithmetic",
    "discrete_temporally_weighted",
    "discrete_equivalent_continuous_level",
}


def test_every_type_obeys_the_rules_of_the_catalogue() -> None:
    for sample_type in shipped_registry():
        place = sample_type.identifier
        numeric = sample_type.kind is SampleKind.QUANTITY
        assert place.startswith("HK"), place
        assert numeric == bool(sample_type.dimension) == bool(sample_type.ucum), place
        assert numeric == (sample_type.aggregation in AGGREGATIONS), place
        assert numeric or not sample_type.aggregation, place
        assert re.fullmatch(r"([89]|[12][0-9])\.[0-9]|", sample_type.introduced_ios), place
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", sample_type.group), place


def test_what_apple_never_announced_has_no_ios_version() -> None:
    assert {each.identifier for each in shipped_registry() if not each.introduced_ios} == {
        "HKCharacteristicTypeIdentifierCardioFitnessMedicationsUse",
        "HKDataTypeSleepDurationGoal",
    }


def test_types_of_one_dimension_share_a_unit_of_it() -> None:
    by_dimension = defaultdict(list)
    for sample_type in shipped_registry():
        if sample_type.kind is SampleKind.QUANTITY:
            by_dimension[sample_type.dimension].append(sample_type.canonical_unit)

    for units in by_dimension.values():
        for unit in units:
            converter(unit, units[0])


@pytest.mark.parametrize(
    ("identifier", "loinc", "ucum"),
    [
        (HEART_RATE, "8867-4", "/min"),
        ("HKQuantityTypeIdentifierBodyMass", "29463-7", "kg"),
        ("HKQuantityTypeIdentifierBodyMassIndex", "39156-5", "kg/m2"),
        ("HKQuantityTypeIdentifierOxygenSaturation", "59408-5", "1"),
        ("HKQuantityTypeIdentifierBloodPressureSystolic", "8480-6", "mm[Hg]"),
        ("HKCorrelationTypeIdentifierBloodPressure", "85354-9", ""),
        ("HKQuantityTypeIdentifierBasalBodyTemperature", "", "Cel"),
        ("HKQuantityTypeIdentifierVO2Max", "", "mL/kg/min"),
    ],
)
def test_codes_of_the_clinic(identifier: str, loinc: str, ucum: str) -> None:
    sample_type = shipped_registry().get(identifier)

    assert sample_type is not None
    assert (sample_type.loinc, sample_type.ucum) == (loinc, ucum)


def test_every_loinc_code_is_whole_and_means_one_type() -> None:
    codes = [sample_type.loinc for sample_type in shipped_registry() if sample_type.loinc]

    assert len(codes) > 30
    assert len(codes) == len(set(codes))
    for code in codes:
        number, check = code.split("-")
        # The way the Users' Guide tells it: every other digit from the right, read as one number, doubled.
        odd = str(int(number[::-1][::2]) * 2) if number else ""
        total = sum(map(int, odd)) + sum(map(int, number[::-1][1::2]))
        assert (10 - total % 10) % 10 == int(check), code


@pytest.mark.parametrize("code", ["8867-5", "8867", "LP203183-1", "08867-4", "8867-4 ", "\u0668867-4", "12345678-2"])
def test_a_loinc_code_with_a_slip_is_refused(code: str) -> None:
    with pytest.raises(InvalidSampleType, match="loinc"):
        shipped_registry().extended([{"identifier": HEART_RATE, "loinc": code}])


@pytest.mark.parametrize(
    ("row", "ucum"),
    [
        ({"identifier": "HKQuantityTypeIdentifierBodyMass", "canonical_unit": "lb"}, "[lb_av]"),
        ({"identifier": "HKQuantityTypeIdentifierBodyMass", "group": "scales"}, "kg"),
        ({"identifier": "HKQuantityTypeIdentifierBodyMassIndex", "group": "scales"}, "kg/m2"),
        ({"identifier": "AcmeStress", "kind": "quantity", "canonical_unit": "count", "ucum": "{score}"}, "{score}"),
        ({"identifier": "AcmeMood", "kind": "category"}, ""),
    ],
)
def test_the_ucum_unit_follows_the_canonical_unit_unless_it_is_given(row: Mapping[str, object], ucum: str) -> None:
    sample_type = shipped_registry().extended([row]).get(str(row["identifier"]))

    assert sample_type is not None
    assert sample_type.ucum == ucum


def test_the_catalogue_holds_nothing_that_is_not_used() -> None:
    used = {row["value_enum"] for row in load("types.json") if "value_enum" in row}

    assert used == set(load("enums.json"))


def test_flutter_names_lead_to_shipped_types_in_units_that_fit() -> None:
    for name, point_type in names().types.items():
        if point_type.identifier is None:
            continue
        sample_type = shipped_registry().get(point_type.identifier)
        assert sample_type is not None, name
        assert sample_type.identifier == point_type.identifier
        if sample_type.kind is SampleKind.QUANTITY:
            converter(point_type.unit, sample_type.canonical_unit)
            assert point_type.value_class in {"NumericHealthValue", "InsulinDeliveryHealthValue"}
        if sample_type.kind is SampleKind.CATEGORY and point_type.category_value is not None:
            assert point_type.category_value in sample_type.category_values


def test_flutter_enums_lead_to_shipped_numbers() -> None:
    workout = shipped_registry().get("HKWorkoutTypeIdentifier")
    flow = shipped_registry().get("HKCategoryTypeIdentifierMenstrualFlow")

    assert workout is not None
    assert flow is not None
    assert set(names().workout_activity.values()) <= set(workout.category_values)
    assert set(names().menstrual_flow.values()) == set(flow.category_values)


@pytest.mark.parametrize("aliases", [("a",), ("A",), ("b",)])
def test_two_types_of_one_name_are_refused(aliases: tuple[str, ...]) -> None:
    first = SampleType(identifier="A", kind=SampleKind.CATEGORY, aliases=("a",))
    second = SampleType(identifier="B" if aliases != ("b",) else "a", kind=SampleKind.CATEGORY, aliases=aliases)

    with pytest.raises(DuplicateSampleType):
        SampleTypeRegistry([first, second])


def test_a_new_type_is_added_and_the_old_registry_stays() -> None:
    row = {"identifier": "AcmeMood", "kind": "quantity", "canonical_unit": "count", "aliases": ["mood"]}

    extended = shipped_registry().extended([row])

    added = extended.get("mood")
    assert added is not None
    assert added.kind is SampleKind.QUANTITY
    assert "AcmeMood" not in shipped_registry()
    assert len(extended) == len(shipped_registry()) + 1


def test_a_row_overrides_only_the_fields_it_has() -> None:
    extended = shipped_registry().extended([{"identifier": HEART_RATE, "group": "heart"}])

    overridden = extended.get(HEART_RATE)
    assert overridden is not None
    assert (overridden.group, overridden.canonical_unit) == ("heart", "count/min")
    assert len(extended) == len(shipped_registry())


@pytest.mark.parametrize(
    ("row", "place"),
    [
        ({}, "row 1: identifier"),
        ({"identifier": ""}, "row 1: identifier"),
        ({"identifier": "x" * 129, "kind": "category"}, "row 1: identifier"),
        ({"identifier": 3}, "row 1: identifier"),
        ({"identifier": "A"}, "row 1 (A): kind"),
        ({"identifier": "A", "kind": "quantitative"}, "row 1 (A): kind"),
        ({"identifier": "A", "kind": None}, "row 1 (A): kind"),
        ({"identifier": "A", "kind": "quantity"}, "row 1 (A): canonical_unit"),
        ({"identifier": "A", "kind": "quantity", "canonical_unit": "furlong"}, "row 1 (A): canonical_unit"),
        ({"identifier": "A", "kind": "quantity", "canonical_unit": 1}, "row 1 (A): canonical_unit"),
        ({"identifier": "A", "kind": "category", "aliases": "a"}, "row 1 (A): aliases"),
        ({"identifier": "A", "kind": "category", "aliases": [1]}, "row 1 (A): aliases"),
        ({"identifier": "A", "kind": "category", "category_values": {"x": "y"}}, "row 1 (A): category_values"),
        ({"identifier": "A", "kind": "category", "category_values": []}, "row 1 (A): category_values"),
        ({"identifier": "A", "kind": "category", "colour": "red"}, "row 1 (A): colour"),
        ({"identifier": "First", "kind": "category"}, "row 1"),
        ({"identifier": "A", "kind": "category", "aliases": [HEART_RATE]}, HEART_RATE),
        ("A", "row 1"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_taken(row: Mapping[str, object], place: str) -> None:
    good = {"identifier": "First", "kind": "category"}

    with pytest.raises(InvalidSampleType) as caught:
        shipped_registry().extended([good, row])

    assert place in caught.value.detail
    assert "First" not in shipped_registry()
