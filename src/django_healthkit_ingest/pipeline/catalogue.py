"""The types that are known here, as clients and commands are shown them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django_healthkit_ingest.conf import get_registry
from django_healthkit_ingest.core.registry import SampleType
from django_healthkit_ingest.models import TypeIdentifier, database


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeView:
    identifier: str
    kind: str | None
    """None: an unknown type, which is stored whole."""
    unit: str
    """What values are stored in, an HKUnit string; empty where there are none."""
    ucum: str
    loinc: str
    aggregation: str
    group: str
    introduced_ios: str
    aliases: tuple[str, ...]
    categories: Mapping[str, str]
    """Names of the category values, by their number."""


def list_types() -> list[TypeView]:
    return [_show(each.identifier, each) for each in get_registry()]


def unknown_types() -> Iterator[TypeView]:
    """Those that have arrived here, from anybody."""
    registry = get_registry()
    seen = TypeIdentifier.objects.using(database()).order_by("identifier").values_list("identifier", flat=True)
    for identifier in seen.iterator():
        if registry.get(identifier) is None:
            yield _show(identifier, None)


def _show(identifier: str, known: SampleType | None) -> TypeView:
    return TypeView(
        identifier=identifier,
        kind=known.kind.value if known else None,
        unit=known.canonical_unit if known else "",
        ucum=known.ucum if known else "",
        loinc=known.loinc if known else "",
        aggregation=known.aggregation if known else "",
        group=known.group if known else "",
        introduced_ios=known.introduced_ios if known else "",
        aliases=tuple(known.aliases) if known else (),
        categories={str(number): name for number, name in known.category_values.items()} if known else {},
    )
