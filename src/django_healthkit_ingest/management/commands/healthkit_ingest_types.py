from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from django_healthkit_ingest.pipeline.catalogue import list_types, unknown_types


class Command(BaseCommand):
    help = "List the sample types that are known here, and the unknown ones that have arrived and are stored whole."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--unknown", action="store_true", help="only the unknown ones")
        parser.add_argument("--json", action="store_true", help="print one JSON array")

    def handle(self, *args: Any, **options: Any) -> None:
        rows = [*(() if options["unknown"] else list_types()), *unknown_types()]
        if options["json"]:
            self.stdout.write(json.dumps([asdict(row) for row in rows]))
            return
        for row in rows:
            self.stdout.write(f"{row.identifier}  {row.kind or 'unknown'}  {row.unit}".rstrip())
