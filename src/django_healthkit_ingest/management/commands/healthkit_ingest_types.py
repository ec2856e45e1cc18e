from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand

from django_healthkit_ingest.conf import get_registry
from django_healthkit_ingest.core.registry import SampleType
from django_healthkit_ingest.models import TypeIdentifier, database


class Command(BaseCommand):
    help = "List the sample types that are known here, and the unknown ones that have arrived and are stored whole."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--unknown", action="store_true", help="only the unknown ones")
        parser.add_argument("--json", action="store_true", help="print one JSON array")

    def handle(self, *args: Any, **options: Any) -> None:
        rows = [*(() if options["unknown"] else _known()), *_unknown()]
        if options["json"]:
            self.stdout.write(json.dumps(rows))
            return
        for row in rows:
            self.stdout.write(f"{row['identifier']}  {row['kind'] or 'unknown'}  {row['unit']}".rstrip())


def _known() -> Iterator[dict[str, Any]]:
    for each in get_registry():
        yield _row(each.identifier, each)


def _unknown() -> Iterator[dict[str, Any]]:
    registry = get_registry()
    seen = TypeIdentifier.objects.using(database()).order_by("identifier").values_list("identifier", flat=True)
    for identifier in seen.iterator():
        if registry.get(identifier) is None:
            yield _row(identifier, None)


def _row(identifier: str, known: SampleType | None) -> dict[str, Any]:
    return {
        "identifier": identifier,
        "kind": known.kind.value if known else None,
        "unit": known.canonical_unit if known else "",
        "ucum": known.ucum if known else "",
        "loinc": known.loinc if known else "",
        "aggregation": known.aggregation if known else "",
        "group": known.group if known else "",
        "introduced_ios": known.introduced_ios if known else "",
        "aliases": list(known.aliases) if known else [],
        "categories": {str(number): name for number, name in known.category_values.items()} if known else {},
    }
