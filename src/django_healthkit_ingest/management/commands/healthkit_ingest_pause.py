from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from django_healthkit_ingest.core.states import Pausable
from django_healthkit_ingest.pipeline.sweep import sweep
from django_healthkit_ingest.pipeline.switches import pause, paused, resume
from django_healthkit_ingest.queues import connect


class Command(BaseCommand):
    help = "Stop processing or intake for maintenance, in all processes at once, and let it go on again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("part", choices=[part.value for part in Pausable])
        parser.add_argument("--resume", action="store_true", help="let it go on")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        part = Pausable(options["part"])
        changed = (resume if options["resume"] else pause)(part)
        if options["resume"] and part is Pausable.PROCESSING:
            connect()
            sweep()
        now_paused = sorted(paused())
        if options["json"]:
            self.stdout.write(json.dumps({"paused": now_paused, "changed": changed}))
            return
        state = "paused" if part in now_paused else "running"
        self.stdout.write(f"{part}: {state}" + ("" if changed else ", as before"))
