from __future__ import annotations

from typing import Any

import pint
import pytest

from django_healthkit_ingest.core.registry import shipped_registry
from django_healthkit_ingest.core.units import MAX_UNIT_LENGTH, convert, converter, parse_unit
from django_healthkit_ingest.exceptions import UnitError


@pytest.fixture(scope="module")
def pint_registry() -> Any:
    return pint.UnitRegistry()


@pytest.mark.parametrize(
    ("from_unit", "to_unit", "pint_from", "pint_to"),
    [
        ("g", "kg", "g", "kg"),
        ("mcg", "g", "microgram", "g"),
        ("oz", "g", "oz", "g"),
        ("lb", "kg", "lb", "kg"),
        ("st", "kg", "stone", "kg"),
        ("in", "cm", "inch", "cm"),
        ("ft", "m", "ft", "m"),
        ("yd", "m", "yd", "m"),
        ("mi", "km", "mi", "km"),
        ("mL", "L", "mL", "L"),
        ("dL", "l", "dL", "L"),
        ("fl_oz_us", "mL", "floz", "mL"),
        ("pt_us", "mL", "pint", "mL"),
        ("cup_us", "mL", "cup", "mL"),
        ("fl_oz_imp", "mL", "imperial_fluid_ounce", "mL"),
        ("pt_imp", "mL", "imperial_pint", "mL"),
        ("cup_imp", "mL", "imperial_cup", "mL"),
        ("mmHg", "Pa", "mmHg", "Pa"),
        ("inHg", "kPa", "inHg", "kPa"),
        ("cmAq", "Pa", "cmH2O", "Pa"),
        ("atm", "hPa", "atm", "hPa"),
        ("ms", "s", "ms", "s"),
        ("min", "s", "min", "s"),
        ("hr", "min", "hr", "min"),
        ("d", "hr", "day", "hr"),
        ("kJ", "kcal", "kJ", "kcal"),
        ("cal", "J", "cal", "J"),
        ("degC", "K", "degC", "K"),
        ("degF", "degC", "degF", "degC"),
        ("K", "degF", "K", "degF"),
        ("mcS", "S", "microsiemens", "S"),
        ("mV", "mcV", "mV", "microvolt"),
        ("kW", "W", "kW", "W"),
        ("deg", "rad", "deg", "rad"),
        ("mi/hr", "m/s", "mi/hr", "m/s"),
        ("L/min", "mL/s", "L/min", "mL/s"),
        ("count/s", "count/min", "1/s", "1/min"),
        ("mg/dL", "g/L", "mg/dL", "g/L"),
        ("kcal/hr·kg", "J/(s*g)", "kcal/(hr*kg)", "J/(s*g)"),
    ],
)
def test_conversion_agrees_with_pint(
    from_unit: str, to_unit: str, pint_from: str, pint_to: str, pint_registry: Any
) -> None:
    expected = pint_registry.Quantity(37.5, pint_from).to(pint_to).magnitude

    converted = convert(37.5, from_unit, to_unit)

    assert converted == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("unit", ["count", "mL/min·kg", "%", "degF", "mmol<180.1558800000541>/L"])
def test_equal_units_are_the_exact_identity(unit: str) -> None:
    assert converter(unit, unit) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("mL/min·kg", "ml/(kg*min)"),  # all that follows the slash is denominator
        ("mL/min.kg", "ml/(kg*min)"),
        ("mL/kg*min", "ml/(kg*min)"),
        ("kg/m.s^2", "Pa"),
        ("kcal", "Cal"),
        ("count/min", "bpm"),
        ("count/min", "breaths/min"),
        ("kg/m²", "count"),
        ("mL/kg/min", "mL/min·kg"),
        ("1/s", "Hz"),
        ("s^-1", "count/s"),
        ("%", "count"),
        ("", "count"),
        ("l", "L"),
        ("mmol<180.1558800000541>/L", "mmol<180.1558800000541>/l"),
        ("(kg*m)/(s^2*m^2)", "Pa"),
    ],
)
def test_spellings_of_one_unit(one: str, other: str) -> None:
    scale, offset = converter(one, other)

    assert scale == pytest.approx(1.0, rel=1e-12)
    assert offset == 0.0


def test_a_percentage_is_a_fraction_already() -> None:
    assert convert(0.97, "%", "count") == 0.97


def test_large_calories_are_a_thousand_small_ones() -> None:
    assert convert(1, "Cal", "cal") == pytest.approx(1000)


@pytest.mark.parametrize("mass", ["180.1558800000541", "180.15588000005408", "180.156"])
def test_glucose_moles_are_mass(mass: str) -> None:
    assert convert(90, "mg/dL", f"mmol<{mass}>/L") == pytest.approx(4.99567, rel=1e-5)


def test_moles_without_a_mass_are_no_mass() -> None:
    with pytest.raises(UnitError, match="different things"):
        converter("mmol/L", "mg/dL")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("dBASPL", "Pa"),  # a logarithm
        ("dBASPL", "dBHL"),
        ("IU", "mg"),
        ("appleEffortScore", "count"),
        ("D", "pD"),
        ("rad", "count"),
        ("m", "s"),
        ("count/min", "count"),
        ("D", "m"),
    ],
)
def test_different_dimensions_never_convert(one: str, other: str) -> None:
    with pytest.raises(UnitError):
        converter(one, other)


@pytest.mark.parametrize(
    "text",
    [
        "parsec",
        "kmin",
        "mmmHg",
        "kIU",
        "m/s/s",
        "m//s",
        "/",
        "m*",
        "*m",
        "(m",
        "m)",
        "()",
        "m^",
        "m^10",
        "m^^2",
        "^2",
        "m ",
        " m",
        "m s",
        "mol<>",
        "mol<0>",
        "mol<1e9>",
        "mol<-1>",
        "xmol<2>",
        "CAL",
        "BPM",
        "degC/min",
        "degC^2",
        "m\n",
        "m\0",
        "mг",
        "2",
        "11",
        "1m",
        "%%",
        "BEATS_PER_MINUTE",
    ],
)
def test_what_is_no_unit_is_refused(text: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse_unit(text)

    assert text not in str(caught.value) or len(text.strip()) < 4


@pytest.mark.parametrize(
    ("from_unit", "to_unit"),
    [
        ("(" * MAX_UNIT_LENGTH, "m"),
        ("*".join(["Tm^9"] * 12), "*".join(["fm^9"] * 12)),
        ("m*" * 32 + "m", "m^1*" * 16 + "m"),
    ],
)
def test_hostile_units_are_refused_quickly(from_unit: str, to_unit: str) -> None:
    with pytest.raises(UnitError):
        converter(from_unit, to_unit)


def test_a_unit_has_a_length() -> None:
    longest = "m*" * 31 + "mm"

    assert len(longest) == MAX_UNIT_LENGTH
    assert parse_unit(longest).dimension == (("length", 32),)
    with pytest.raises(UnitError, match="at most"):
        parse_unit(longest + "m")


@pytest.mark.parametrize("sample_type", [each for each in shipped_registry() if each.canonical_unit], ids=str)
def test_every_canonical_unit_parses(sample_type: Any) -> None:
    assert parse_unit(sample_type.canonical_unit).factor > 0
