from __future__ import annotations

import re

import pytest

from django_healthkit_ingest.core.catalogue import load
from django_healthkit_ingest.core.registry import SampleKind, shipped_registry
from django_healthkit_ingest.core.ucum import to_ucum
from django_healthkit_ingest.exceptions import UnitError

# Atoms of the UCUM essence that a HealthKit unit can lead to; those before the bar take a prefix.
METRIC = r"g|m|L|Pa|s|J|K|S|Hz|V|W|rad|lx|mol|cal|B\[SPL\]|B|m\[Hg\]|m\[H2O\]|\[iU\]"
CUSTOMARY = (
    r"min|h|d|deg|Cel|atm|\[degF\]|\[oz_av\]|\[lb_av\]|\[stone_av\]|\[in_i\]|\[in_i'Hg\]|\[ft_i\]|\[yd_i\]|\[mi_i\]"
    r"|\[foz_us\]|\[foz_br\]|\[pt_us\]|\[pt_br\]|\[cup_us\]|\[diop\]|\[p'diop\]"
)
FACTOR = rf"(?:(?:(?:da|[fpnumcdhkMGT])?(?:{METRIC})|{CUSTOMARY})(?:-?[0-9])?(?:\{{[A-Za-z]+\}})?|\{{[a-z]+\}})"
UCUM = re.compile(rf"1|(?:{FACTOR}(?:\.{FACTOR})*)?(?:/{FACTOR})+|{FACTOR}(?:\.{FACTOR})*")


@pytest.mark.parametrize(
    ("unit", "ucum"),
    [
        ("count/min", "/min"),
        ("bpm", "/min"),
        ("count", "1"),
        ("kcal/count", "kcal"),
        ("", "1"),
        ("%", "1"),
        ("mmHg", "mm[Hg]"),
        ("degC", "Cel"),
        ("mcg", "ug"),
        ("Cal", "kcal"),
        ("mmol<180.1558800000541>/L", "mmol/L"),
        ("ml/(kg*min)", "mL/kg/min"),
        ("mL/min·kg", "mL/min/kg"),
        ("kg.m^2", "kg.m2"),
        ("m/s^2", "m/s2"),
        ("mi/hr", "[mi_i]/h"),
        ("dBASPL", "dB[SPL]"),
        ("mcV", "uV"),
    ],
)
def test_units_are_respelled(unit: str, ucum: str) -> None:
    assert to_ucum(unit) == ucum


@pytest.mark.parametrize("unit", ["cup_imp", "cup_imp/d", "g/cup_imp", "(m.s)^2"])
def test_what_ucum_cannot_say_is_empty(unit: str) -> None:
    assert to_ucum(unit) == ""


def test_no_unit_is_no_unit() -> None:
    with pytest.raises(UnitError):
        to_ucum("furlong")


def known_units() -> list[str]:
    table = load("units.json")
    metric = [atom for atom in table["prefixable"] if atom != "mol"]
    prefixed = [prefix + atom for prefix in ("", *table["prefixes"]) for atom in metric]
    return ["mol<180.1>", "mmol<180.1>", *prefixed, *table["plain"], *table["aliases"]]


def test_every_unit_of_healthkit_is_in_the_grammar_of_ucum() -> None:
    spelled = {unit: to_ucum(unit) for unit in known_units()}

    assert [unit for unit, ucum in spelled.items() if not ucum] == ["cup_imp"]
    assert [unit for unit, ucum in spelled.items() if ucum and not UCUM.fullmatch(ucum)] == []


@pytest.mark.parametrize("wrong", ["count/min", "mcg", "mmHg", "[in]", "B[spl]", "kcal/(kg.h)", "%/", "hr", "kg·m"])
def test_the_grammar_knows_wrong_from_right(wrong: str) -> None:
    assert UCUM.fullmatch(wrong) is None


def test_every_quantity_says_what_its_values_are_in() -> None:
    for sample_type in shipped_registry():
        if sample_type.kind is SampleKind.QUANTITY:
            assert UCUM.fullmatch(sample_type.ucum), sample_type.identifier
        else:
            assert sample_type.ucum == "", sample_type.identifier
