"""Constants of HealthKit and types of FHIR resources, which an export writes as names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from django_healthkit_ingest.core.catalogue import load
from django_healthkit_ingest.core.formats.records import NULL
from django_healthkit_ingest.core.json_text import UNREADABLE


class Names(msgspec.Struct, frozen=True, kw_only=True):
    categories: Mapping[str, int]
    workouts: Mapping[str, int]
    clinical_types: Mapping[str, str]


@lru_cache(maxsize=1)
def names() -> Names:
    """Names of constants, which is what an export writes for a category."""
    enums: dict[str, dict[str, str]] = load("enums.json")
    own = load("apple_export.json")
    constants = {f"{enum}{name}": int(number) for enum, each in enums.items() for number, name in each.items()}
    return Names(
        categories={name: number for name, number in constants.items() if name.startswith("HKCategoryValue")}
        | own["category_names"],
        workouts={name: number for name, number in constants.items() if name.startswith("HKWorkoutActivityType")},
        clinical_types=own["clinical_types"],
    )


def clinical_type(name: str, raw: msgspec.Raw) -> str:
    """The FHIR resource's type says which clinical type it is; only an observation's category tells two apart."""
    if name == "Observation":
        try:
            category = bytes(_CLINICAL.decode(raw).resource.category)
        except UNREADABLE:
            category = b""
        if b'"vital-signs"' in category:
            return "HKClinicalTypeIdentifierVitalSignRecord"
    return names().clinical_types.get(name, name)


class _Resource(msgspec.Struct, frozen=True, gc=False):
    category: msgspec.Raw = NULL


class _Clinical(msgspec.Struct, frozen=True, gc=False):
    resource: _Resource = _Resource()


_CLINICAL = msgspec.json.Decoder(_Clinical)
