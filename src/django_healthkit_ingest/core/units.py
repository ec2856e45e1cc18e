"""HKUnit strings (developer.apple.com/documentation/healthkit/hkunit/init(from:)) and conversion between them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from django_healthkit_ingest.core.catalogue import load
from django_healthkit_ingest.exceptions import UnitError

MAX_UNIT_LENGTH = 64

_TOKEN = re.compile(
    r"""(?P<mole>[a-z]{0,2}mol<(?P<mass>[0-9]{1,20}(?:\.[0-9]{1,20})?)>)
      | (?P<atom>[A-Za-z_]+|%|1)
      | (?P<operator>[.*·/()])
      | \^(?P<power>-?[0-9])""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A value in base units is ``value * factor + offset``; only temperature scales have an offset.

    What HealthKit never converts linearly (``dBASPL``, ``dBHL``, ``IU``, ``appleEffortScore``, ``pD``) is a dimension
    of its own.
    """

    dimension: tuple[tuple[str, int], ...] = ()
    factor: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)

    def __mul__(self, other: Unit) -> Unit:
        return self._combined(other, sign=1)

    def __truediv__(self, other: Unit) -> Unit:
        return self._combined(other, sign=-1)

    def __pow__(self, power: int) -> Unit:
        if power == 1:
            return self
        self._refuse_offset()
        dimension = tuple((base, exponent * power) for base, exponent in self.dimension if power)
        return Unit(dimension=dimension, factor=self.factor**power)

    def _combined(self, other: Unit, *, sign: int) -> Unit:
        self._refuse_offset()
        other._refuse_offset()
        exponents = dict(self.dimension)
        for base, exponent in other.dimension:
            exponents[base] = exponents.get(base, 0) + sign * exponent
        dimension = tuple(sorted((base, exponent) for base, exponent in exponents.items() if exponent))
        return Unit(dimension=dimension, factor=self.factor * other.factor**sign)

    def _refuse_offset(self) -> None:
        if self.offset:
            raise UnitError("a temperature scale cannot be part of a compound unit; use K")


@lru_cache(maxsize=1024)
def parse_unit(text: str) -> Unit:
    """Read an HKUnit string; the empty string is dimensionless. Raises UnitError.

    There is at most one ``/`` and everything after it is denominator: ``mL/min·kg`` is ``mL/(min·kg)``. A ``%`` is a
    dimensionless 1, for HealthKit's percentages are fractions (0.97 and not 97).
    """
    if len(text) > MAX_UNIT_LENGTH:
        raise UnitError(f"a unit has at most {MAX_UNIT_LENGTH} characters")
    text = _table().aliases.get(text, text)
    if not text:
        return Unit()
    tokens = _tokens(text)
    unit = _product(tokens)
    if tokens and tokens[-1] == "/":
        tokens.pop()
        unit = unit / _product(tokens)
    if tokens:
        raise _refusal()
    return unit


@lru_cache(maxsize=4096)
def converter(from_unit: str, to_unit: str) -> tuple[float, float]:
    """Scale and offset of ``value * scale + offset``; exactly (1.0, 0.0) between equal units. Raises UnitError."""
    source, target = parse_unit(from_unit), parse_unit(to_unit)
    if source.dimension != target.dimension:
        raise UnitError("the units measure different things")
    try:
        return float(source.factor / target.factor), float((source.offset - target.offset) / target.factor)
    except OverflowError as error:
        raise UnitError("the units are too far apart to convert") from error


def convert(value: float, from_unit: str, to_unit: str) -> float:
    scale, offset = converter(from_unit, to_unit)
    return value * scale + offset


def _product(tokens: list[Unit | int | str]) -> Unit:
    """Consume ``tokens`` (which are in reverse order) up to the end, a ``)`` or a ``/``."""
    unit = _factor(tokens)
    while tokens and tokens[-1] == "*":
        tokens.pop()
        unit = unit * _factor(tokens)
    return unit


def _factor(tokens: list[Unit | int | str]) -> Unit:
    unit = tokens.pop() if tokens else None
    if unit == "(":
        unit = _product(tokens)
        if not tokens or tokens.pop() != ")":
            raise _refusal()
    if not isinstance(unit, Unit):
        raise _refusal()
    if tokens and isinstance(power := tokens[-1], int):
        tokens.pop()
        return unit**power
    return unit


def _tokens(text: str) -> list[Unit | int | str]:
    tokens: list[Unit | int | str] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _refusal()
        position = match.end()
        if mole := match["mole"]:
            tokens.append(_mole(prefix=mole[: mole.index("mol")], mass=Fraction(match["mass"])))
        elif atom := match["atom"]:
            tokens.append(_atom(atom))
        elif operator := match["operator"]:
            tokens.append("*" if operator in ".·" else operator)
        else:
            tokens.append(int(match["power"]))
    return tokens[::-1]


def _mole(*, prefix: str, mass: Fraction) -> Unit:
    """``mmol<180.15588>`` is that many grams per mole, so a mass: the way HealthKit writes glucose."""
    factor = _table().prefixes.get(prefix)
    if factor is None or not mass:
        raise _refusal()
    return Unit(dimension=(("mass", 1),), factor=factor * mass / 1000)


def _atom(text: str) -> Unit:
    table = _table()
    if unit := table.atoms.get(text):
        return unit
    for length in (2, 1):
        factor, base = table.prefixes.get(text[:length]), table.prefixable.get(text[length:])
        if factor is not None and base is not None and len(text) > length:
            return Unit(dimension=base.dimension, factor=base.factor * factor)
    raise _refusal()


def _refusal() -> UnitError:
    return UnitError("not a unit HealthKit knows; send the HKUnit's unitString, such as count/min or mL/min·kg")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    prefixes: Mapping[str, Fraction]
    prefixable: Mapping[str, Unit]
    atoms: Mapping[str, Unit]
    aliases: Mapping[str, str]


@lru_cache(maxsize=1)
def _table() -> _Table:
    data: Any = load("units.json")
    prefixable = {name: _unit(row) for name, row in data["prefixable"].items()}
    return _Table(
        prefixes={"": Fraction(1)} | {name: Fraction(text) for name, text in data["prefixes"].items()},
        prefixable=prefixable,
        atoms=prefixable | {name: _unit(row) for name, row in data["plain"].items()},
        aliases=data["aliases"],
    )


def _unit(row: Mapping[str, Any]) -> Unit:
    return Unit(
        dimension=tuple(sorted(row["dimension"].items())),
        factor=Fraction(row["factor"]),
        offset=Fraction(row.get("offset", "0")),
    )
