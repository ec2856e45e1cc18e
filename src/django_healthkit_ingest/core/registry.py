"""The sample types that are known: Apple's, as shipped, and those a host adds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

from django_healthkit_ingest.core.catalogue import load
from django_healthkit_ingest.core.ucum import to_ucum
from django_healthkit_ingest.core.units import parse_unit
from django_healthkit_ingest.exceptions import DuplicateSampleType, InvalidSampleType, UnitError

MAX_IDENTIFIER_LENGTH = 128


class SampleKind(StrEnum):
    """Which structure a type's records have; only QUANTITY and CATEGORY fit the columns of a sample."""

    QUANTITY = "quantity"
    CATEGORY = "category"
    CORRELATION = "correlation"
    WORKOUT = "workout"
    SERIES = "series"
    ECG = "ecg"
    AUDIOGRAM = "audiogram"
    STATE_OF_MIND = "state_of_mind"
    SCORED_ASSESSMENT = "scored_assessment"
    MEDICATION = "medication"
    VISION = "vision"
    DOCUMENT = "document"
    CLINICAL = "clinical"
    CHARACTERISTIC = "characteristic"
    ACTIVITY_SUMMARY = "activity_summary"
    EXPORT_ONLY = "export_only"
    """Seen only in Apple's export.xml; no public constant exists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleType:
    identifier: str
    """The string HealthKit has at run time, which for a few types is not the name of its constant."""
    kind: SampleKind
    canonical_unit: str = ""
    """The HKUnit every value of the type is stored in; of a quantity only."""
    dimension: str = ""
    aggregation: str = ""
    group: str = ""
    introduced_ios: str = ""
    loinc: str = ""
    """The LOINC code (loinc.org) of the same observation; empty where none is known to mean the same."""
    ucum: str = ""
    """What stored values are in, for UCUM: the canonical unit respelled unless a row says otherwise. A percentage is
    stored as a fraction, so it is ``1`` and not ``%``."""
    aliases: tuple[str, ...] = ()
    """Other spellings on the wire: names of constants, labels of client libraries."""
    category_values: Mapping[int, str] = field(default_factory=dict)


class SampleTypeRegistry:
    """Sample types by identifier and alias; immutable, so one serves all threads.

    Raises DuplicateSampleType if two types claim one name. An identifier that is not here is not an error: new
    versions of iOS bring new types.
    """

    def __init__(self, sample_types: Iterable[SampleType]) -> None:
        self._types = tuple(sample_types)
        by_name: dict[str, SampleType] = {}
        for sample_type in self._types:
            for name in (sample_type.identifier, *sample_type.aliases):
                if name in by_name:
                    raise DuplicateSampleType(f"two sample types are called {name!r}; remove one or its alias")
                by_name[name] = sample_type
        self._by_name = by_name
        self.get: Callable[[str], SampleType | None] = by_name.get
        """By identifier or alias. Asked for every record, so it is the dictionary's own."""

    def __iter__(self) -> Iterator[SampleType]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def extended(self, rows: Iterable[Mapping[str, object]]) -> SampleTypeRegistry:
        """A new registry in which each row adds a type or overrides fields of the type with its identifier.

        Raises InvalidSampleType naming the row and the field; then nothing is changed.
        """
        types = {sample_type.identifier: sample_type for sample_type in self}
        seen: set[str] = set()
        for number, row in enumerate(rows):
            sample_type = _read_row(row, number=number, known=types)
            if sample_type.identifier in seen:
                raise DuplicateSampleType(f"row {number}: identifier: another row has it too; join the two")
            seen.add(sample_type.identifier)
            types[sample_type.identifier] = sample_type
        return SampleTypeRegistry(types.values())


@lru_cache(maxsize=1)
def shipped_registry() -> SampleTypeRegistry:
    """All types of Apple's headers up to iOS 27, from ``catalogue/types.json``."""
    enums: dict[str, dict[str, str]] = load("enums.json")
    rows = load("types.json")
    for row in rows:
        if name := row.pop("value_enum", None):
            row["category_values"] = enums[name]
    return SampleTypeRegistry([]).extended(rows)


def _read_row(row: object, *, number: int, known: Mapping[str, SampleType]) -> SampleType:
    if not isinstance(row, Mapping):
        raise InvalidSampleType(f"row {number}: use an object with the fields {', '.join(sorted(_FIELDS))}")
    identifier = row.get("identifier")
    if not isinstance(identifier, str) or not 0 < len(identifier) <= MAX_IDENTIFIER_LENGTH:
        raise InvalidSampleType(f"row {number}: identifier: give a string of 1 to {MAX_IDENTIFIER_LENGTH} characters")
    place = f"row {number} ({identifier})"
    values = {name: _read_field(name, value, place=place) for name, value in row.items()}
    if "canonical_unit" in values:
        values.setdefault("ucum", to_ucum(values["canonical_unit"]) if values["canonical_unit"] else "")
    if previous := known.get(identifier):
        sample_type = replace(previous, **values)
    elif "kind" in values:
        sample_type = SampleType(**values)
    else:
        raise InvalidSampleType(f"{place}: kind: a new type needs one of {', '.join(SampleKind)}")
    if sample_type.kind is SampleKind.QUANTITY and not sample_type.canonical_unit:
        raise InvalidSampleType(f"{place}: canonical_unit: a quantity needs an HKUnit; write count if it has none")
    return sample_type


def _read_field(name: str, value: object, *, place: str) -> Any:
    match name, value:
        case "kind", str() if value in set(SampleKind):
            return SampleKind(value)
        case "kind", _:
            raise InvalidSampleType(f"{place}: kind: use one of {', '.join(SampleKind)}")
        case "aliases", list() | tuple() if all(isinstance(alias, str) and alias for alias in value):
            return tuple(value)
        case "aliases", _:
            raise InvalidSampleType(f"{place}: aliases: use a list of strings")
        case "category_values", Mapping():
            return _read_category_values(value, place=place)
        case "canonical_unit", str():
            return _read_unit(value, place=place)
        case "loinc", str() if value and not _is_loinc(value):
            raise InvalidSampleType(f"{place}: loinc: no such code; write it with its check digit, such as 8867-4")
        case _, str() if name in _FIELDS:
            return value
    if name in _FIELDS:
        raise InvalidSampleType(f"{place}: {name}: the value has the wrong type")
    raise InvalidSampleType(f"{place}: {name}: no such field; use {', '.join(sorted(_FIELDS))}")


_FIELDS = frozenset(each.name for each in fields(SampleType))


def _read_unit(text: str, *, place: str) -> str:
    try:
        parse_unit(text)
    except UnitError as error:
        raise InvalidSampleType(f"{place}: canonical_unit: {error.detail}") from error
    return text


def _read_category_values(values: Mapping[object, object], *, place: str) -> dict[int, str]:
    try:
        return {int(str(number)): str(name) for number, name in values.items()}
    except ValueError as error:
        raise InvalidSampleType(f"{place}: category_values: the keys are integers, the values names") from error


def _is_loinc(code: str) -> bool:
    """Whether the digit after the hyphen checks those before it (mod 10, LOINC Users' Guide)."""
    if not re.fullmatch(r"[1-9][0-9]{0,6}-[0-9]", code):
        return False
    number, check = code.split("-")
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in number[-1::-2])
    plain = sum(int(digit) for digit in number[-2::-2])
    return (doubled + plain + int(check)) % 10 == 0
