from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_healthkit_ingest.exceptions import HealthKitIngestError
from django_healthkit_ingest.pipeline.inspect import Inspection, inspect

SHOWN = 20
"""Rejections printed for people; ``--json`` has them all."""


class Command(BaseCommand):
    help = "Say what a file is, how many records of each type it holds and which would be rejected; nothing is stored."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="a request body, plain or gzip")
        parser.add_argument("--format", help="the wire format; without it the one that recognises the file")
        parser.add_argument("--time-zone", help="IANA name of the zone that dates without an offset are in")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            body = options["file"].read_bytes()
            inspection = inspect(body, format=options["format"], time_zone=options["time_zone"])
        except OSError as error:
            raise CommandError(f"The file cannot be read: {error.strerror}.") from None
        except HealthKitIngestError as error:
            places = "".join(f"\n  {each.pointer}: {each.detail}" for each in error.errors)
            raise CommandError(f"{error.title} ({error.code}). {error.detail}{places}") from None
        self.stdout.write(json.dumps(asdict(inspection)) if options["json"] else _as_text(inspection))


def _as_text(inspection: Inspection) -> str:
    counts = ("format", "received", "samples", "deletions", "statistics", "members", "rejected")
    lines = [f"{name}: {getattr(inspection, name)}" for name in counts]
    for identifier, number in sorted(inspection.types.items()):
        unknown = " (unknown type, stored whole)" if identifier in inspection.unknown_types else ""
        lines.append(f"  {number} {identifier}{unknown}")
    shown = inspection.rejections[:SHOWN]
    lines += [f"  rejected: {each.section}[{each.index}] {each.field}: {each.code}" for each in shown]
    if len(inspection.rejections) > SHOWN:
        lines.append(f"  and {len(inspection.rejections) - SHOWN} more; --json shows them all")
    lines += [f"ignored: {warning}" for warning in inspection.warnings]
    return "\n".join(lines)
