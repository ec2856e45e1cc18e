"""What records call their types where they do not say HealthKit's identifier, format by format.

For records that could not be read: what they are has to be guessed from the texts in them. The names are the
catalogue's, except for the elements of Apple's export.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache

import msgspec

from django_healthkit_ingest.core.catalogue import load
from django_healthkit_ingest.core.registry import MAX_IDENTIFIER_LENGTH, SampleTypeRegistry

_STRING = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)
_LONGEST = 8 * MAX_IDENTIFIER_LENGTH
"""Bytes of a text that may be a name: each character may be an escape of six."""
_MOST = 2**17
_REMEMBERED = 10_000
"""Strings of one record."""
_EXPORT_ELEMENTS = {
    "Workout": "HKWorkoutTypeIdentifier",
    "Route": "HKWorkoutRouteTypeIdentifier",
    "Electrocardiogram": "HKDataTypeIdentifierElectrocardiogram",
    "Audiogram": "HKDataTypeIdentifierAudiogram",
    "VisionPrescription": "HKVisionPrescriptionTypeIdentifier",
    "ActivitySummary": "HKActivitySummaryTypeIdentifier",
}


def flutter_identifier(name: str) -> str | None:
    """HealthKit's identifier of a ``HealthDataType`` of the Flutter package ``health``, by its name there."""
    known = _flutter().get(name)
    return known.get("identifier") if known is not None else None


def names_of(identifier: str, *, format: str, registry: SampleTypeRegistry) -> frozenset[str]:
    """Folded: all that tells the type in a record of this format, be it a value or a key."""
    known = registry.get(identifier)
    names = {identifier} if known is None else {known.identifier, *known.aliases}
    dialect = _dialects().get(format, {})
    for name in tuple(names):
        names.update(dialect.get(name, ()))
        if format == "health_auto_export":
            names.add(name.removeprefix(_own_types()))
    return frozenset(map(fold, names))


def mentions(record: bytes | msgspec.Raw, names: frozenset[str]) -> bool:
    """Whether one of these folded names is a key or a value of a JSON text, however deep. Never raises.

    True also for a text with too many different strings to be looked through.
    """
    seen: set[bytes] = set()
    looked_at = 0
    for found in _STRING.finditer(record):
        text = found[1]
        if len(text) > _LONGEST or text in seen:
            continue
        looked_at += 1
        if looked_at > _MOST or fold(_unescaped(text)) in names:
            return True
        if len(seen) < _REMEMBERED:  # keys repeat, in each of a route's thousands of points
            seen.add(text)
    return False


def fold(name: str) -> str:
    """Letters and digits only, in lower case: clients of all ages write one name in many ways."""
    return "".join(character for character in name.casefold() if character.isalnum())


@lru_cache(maxsize=1)
def _flutter() -> Mapping[str, Mapping[str, str]]:
    names: Mapping[str, Mapping[str, str]] = load("flutter_types.json")["types"]
    return names


@lru_cache(maxsize=1)
def _own_types() -> str:
    """The prefix of the identifiers of what Health Auto Export sends and HealthKit has no name for."""
    return str(load("health_auto_export.json")["own_types"])


@lru_cache(maxsize=1)
def _dialects() -> Mapping[str, Mapping[str, frozenset[str]]]:
    """By format and identifier."""
    pairs = {
        "flutter": ((name, known["identifier"]) for name, known in _flutter().items() if "identifier" in known),
        "health_auto_export": _of_health_auto_export(),
        "open_wearables": _of_open_wearables(),
        "react_native_healthkit": load("react_native_healthkit.json")["types_by_member"].items(),
        "apple_export": _of_apple_export(),
    }
    dialects: dict[str, Mapping[str, frozenset[str]]] = {}
    for dialect, names in pairs.items():
        by_identifier: dict[str, set[str]] = defaultdict(set)
        for name, identifier in names:
            by_identifier[identifier].add(name)
        dialects[dialect] = {identifier: frozenset(found) for identifier, found in by_identifier.items()}
    return dialects


def _of_health_auto_export() -> Iterator[tuple[str, str]]:
    labels = load("health_auto_export.json")
    for name, metric in labels["metrics"].items():
        parts = [{"type": metric}] if isinstance(metric, str) else [metric, *metric.get("readings", ())]
        yield from ((name, part["type"]) for part in parts if part.get("type"))
    for array, kind in labels["kinds"].items():
        yield array, kind.get("type") or f"{labels['own_types']}{kind['own_type']}"
    for table in labels["names"].values():
        yield from table.items()


def _of_open_wearables() -> Iterator[tuple[str, str]]:
    """Members that tell sleep and workouts, and the workouts' names, but for the one that everybody uses."""
    labels = load("open_wearables.json")
    yield "stage", labels["sleep_type"]
    yield "values", labels["workout_type"]
    yield from ((name, labels["workout_type"]) for name in labels["workout_activity"] if name != "other")


def _of_apple_export() -> Iterator[tuple[str, str]]:
    yield from _EXPORT_ELEMENTS.items()
    yield from load("apple_export.json")["clinical_types"].items()
    yield "Observation", "HKClinicalTypeIdentifierVitalSignRecord"


def _unescaped(text: bytes) -> str:
    if b"\\" in text:
        try:
            return str(json.loads(b'"%b"' % text, strict=False))
        except ValueError:
            pass
    return text.decode(errors="replace")
