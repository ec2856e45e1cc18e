"""HKUnit strings in the spelling of UCUM (ucum.org), which FHIR and laboratories speak."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from django_healthkit_ingest.core.catalogue import load
from django_healthkit_ingest.core.units import parse_unit

_FACTOR = re.compile(r"(?P<atom>[A-Za-z_]+|%|1)(?:<[0-9.]+>)?(?:\^(?P<power>-?[0-9]))?")


@lru_cache(maxsize=1024)
def to_ucum(unit: str) -> str:
    """What a value in ``unit`` is in, for UCUM; empty where UCUM has no such unit. Raises UnitError.

    HealthKit's percentages are fractions (0.97), so their unit is ``1``; times 100 it would be ``%``. Of the weighting
    of ``dBASPL`` UCUM knows nothing.
    """
    parse_unit(unit)
    unit = _aliases().get(unit, unit)
    if ")^" in unit:
        return ""
    above, _, below = unit.partition("/")
    over, under = _factors(above), _factors(below)
    if "" in over or "" in under:
        return ""
    product = ".".join(factor for factor in over if factor != "1")
    return product + "".join(f"/{factor}" for factor in under if factor != "1") or "1"


def _factors(product: str) -> list[str]:
    return [_spelled(match["atom"]) + (match["power"] or "") for match in _FACTOR.finditer(product)]


def _spelled(atom: str) -> str:
    table = _table()
    if atom in table["atoms"]:
        return str(table["atoms"][atom])
    length = 2 if atom[:2] in table["prefixes"] and atom[2:] in table["atoms"] else 1
    return f"{table['prefixes'][atom[:length]]}{table['atoms'][atom[length:]]}"


@lru_cache(maxsize=1)
def _table() -> Any:
    return load("ucum.json")


@lru_cache(maxsize=1)
def _aliases() -> Any:
    return load("units.json")["aliases"]
