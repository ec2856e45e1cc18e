from __future__ import annotations

import json
import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.exceptions import HealthKitIngestError
from django_healthkit_ingest.management.users import find_user
from django_healthkit_ingest.pipeline.export import ExportStatus, export_user, open_export


class Command(BaseCommand):
    help = "Write everything that is stored of a user into a file, gzip-compressed JSON lines, in this process."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", required=True, help="primary key or name (USERNAME_FIELD) of the user")
        parser.add_argument("--output", required=True, type=Path, help="the file to write, such as anna.jsonl.gz")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        user = find_user(options["user"])
        try:
            status = export_user(user=user)
            if status.status == Status.COMPLETED:
                _fetch(status, user=user, output=options["output"])
        except HealthKitIngestError as error:
            raise CommandError(f"{error.title} ({error.code}). {error.detail}") from None
        except OSError as error:
            raise CommandError(f"The file cannot be stored or written: {error.strerror}.") from None
        self.stdout.write(json.dumps(_shape(status)) if options["json"] else _as_text(status))
        if status.status != Status.COMPLETED:
            raise CommandError(f"The export failed ({status.error_code}).")


def _fetch(status: ExportStatus, *, user: Any, output: Path) -> None:
    """Nobody else may read it, and what is there is not overwritten."""
    pieces, _ = open_export(user=user, export_id=status.id)
    with os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.writelines(pieces)


def _shape(status: ExportStatus) -> dict[str, Any]:
    return {
        "id": str(status.id),
        "status": status.status.value,
        "created_at": status.created_at.isoformat(),
        "finished_at": status.finished_at.isoformat() if status.finished_at else None,
        "expires_at": status.expires_at.isoformat() if status.expires_at else None,
        "size": status.size,
        "counts": dict(status.counts),
    }


def _as_text(status: ExportStatus) -> str:
    lines = [f"export {status.id}: {status.status}, {status.size:,} bytes"]
    lines += [f"  {name}: {number}" for name, number in status.counts.items()]
    return "\n".join(lines)
