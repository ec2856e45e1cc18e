from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from django_healthkit_ingest.pipeline.failures import quoting_nothing
from django_healthkit_ingest.pipeline.sweep import sweep
from django_healthkit_ingest.queues import connect
from django_healthkit_ingest.sqs.depth import measure_queues


class Command(BaseCommand):
    help = "Send what was lost, free what died, finish what nobody finished, purge old payloads; run it on a schedule."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the counts as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        connect()
        with quoting_nothing("sweep"):
            counts = asdict(sweep())
            measure_queues()
        if options["json"]:
            self.stdout.write(json.dumps(counts))
            return
        for name, count in counts.items():
            self.stdout.write(f"{name.replace('_', ' ')}: {count}")
