from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from django_healthkit_ingest.models import ImportBatch, database
from django_healthkit_ingest.pipeline.anchors import accept_failure


class Command(BaseCommand):
    help = "Say that a FAILED import will not be stored, so that the anchors which wait for it are released."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("batch", type=UUID, help="the import's id")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        batches = ImportBatch.objects.using(database()).filter(uuid=options["batch"])
        batch = batches.first()
        if batch is None:
            raise CommandError("There is no such import.")
        accepted = accept_failure(batch=batch)
        batch.refresh_from_db()
        if batch.failure_accepted_at is None:
            raise CommandError(f"The import is {batch.status}: only a FAILED one can be accepted as it is.")
        if options["json"]:
            answer = {"id": str(batch.uuid), "accepted": accepted, "accepted_at": batch.failure_accepted_at.isoformat()}
            self.stdout.write(json.dumps(answer))
            return
        self.stdout.write("The failure is accepted." if accepted else "The failure had been accepted before.")
