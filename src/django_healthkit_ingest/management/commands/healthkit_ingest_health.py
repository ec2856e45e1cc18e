from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.sqs.heartbeat import MAX_AGE, age, chosen_file, verdict


class Command(BaseCommand):
    help = (
        "Say whether the worker in this container still polls, by the age of HEARTBEAT_FILE; the exit code is 1 if not."
        " 'python -m django_healthkit_ingest.sqs.heartbeat' does the same without loading Django."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--max-age", type=float, default=MAX_AGE, metavar="SECONDS", help="default: %(default)s")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        file = chosen_file(get_settings().heartbeat_file)
        if file is None:
            raise CommandError("HEARTBEAT_FILE is '': the workers of this host write no heartbeat.")
        is_healthy, sentence = verdict(file, max_age=options["max_age"])
        self.stdout.write(json.dumps({"healthy": is_healthy, "age": age(file)}) if options["json"] else sentence)
        if not is_healthy:
            sys.exit(1)
