from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.core.files import File
from django.core.management.base import BaseCommand, CommandError

from django_healthkit_ingest import queues
from django_healthkit_ingest.core.states import FINAL, Lane, Status
from django_healthkit_ingest.exceptions import HealthKitIngestError
from django_healthkit_ingest.management.users import find_user
from django_healthkit_ingest.models import ImportBatch, ImportUpload, database
from django_healthkit_ingest.pipeline.process import process
from django_healthkit_ingest.pipeline.split import split
from django_healthkit_ingest.pipeline.status import BatchStatus, describe
from django_healthkit_ingest.pipeline.upload import accept_upload

LOOK_EVERY = 1.0
"""Seconds between two looks at the progress."""

BAR = 30


class Command(BaseCommand):
    help = "Import an Apple Health export (export.zip or export.xml, any size) for a user, as an upload would be."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the file, as the phone exported it")
        parser.add_argument("--user", required=True, help="primary key or name (USERNAME_FIELD) of the user")
        parser.add_argument("--format", help="the wire format, if more than one of FORMATS reads files")
        parser.add_argument("--time-zone", help="IANA name of the zone that dates without an offset are in")
        parser.add_argument("--lane", choices=[lane.value for lane in Lane], help="BACKFILL unless given")
        parser.add_argument("--idempotency-key", help="the same key and file again change nothing")
        parser.add_argument("--wait", action="store_true", help="show progress until the import is finished")
        parser.add_argument("--here", action="store_true", help="do the workers' part in this process")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        self.shown = 0.0
        user = find_user(options["user"])
        if options["here"]:
            with queues.captured() as messages:
                batch = self._accept(user, options)
                messages.extend(_messages_of(batch))
                while messages:
                    _run(messages.popleft(), batch=batch)
                    self._show(batch)
        else:
            queues.connect()
            batch = self._accept(user, options)
        while options["wait"] and not _is_done(batch):
            self._show(batch)
            time.sleep(LOOK_EVERY)
        batch.refresh_from_db()
        self._show(batch, is_last=True)
        status = describe(batch)
        self.stdout.write(json.dumps(_shape(status)) if options["json"] else _as_text(status))
        if status.status == Status.FAILED:
            raise CommandError(
                f"The import failed ({status.error.code if status.error else None}); what was read is stored."
            )

    def _accept(self, user: Any, options: Mapping[str, Any]) -> ImportBatch:
        try:
            with options["file"].open("rb") as file:
                return accept_upload(
                    File(file),
                    user=user,
                    format=options["format"],
                    time_zone=options["time_zone"],
                    lane=options["lane"],
                    idempotency_key=options["idempotency_key"],
                    client={"name": "healthkit_ingest_import"},
                )
        except OSError as error:
            raise CommandError(f"The file cannot be read or stored: {error.strerror}.") from None
        except HealthKitIngestError as error:
            raise CommandError(f"{error.title} ({error.code}). {error.detail}") from None

    def _show(self, batch: ImportBatch, *, is_last: bool = False) -> None:
        """A line that is written over, on terminals only."""
        now = time.monotonic()
        if not self.stderr.isatty() or (now - self.shown < LOOK_EVERY and not is_last):
            return
        self.shown = now
        self.stderr.write(f"\r{_progress(batch)}\x1b[K", ending="\n" if is_last else "")
        self.stderr.flush()


def _messages_of(batch: ImportBatch) -> Iterator[queues.Message]:
    """Of an import that was interrupted here and is asked for again: its messages went with the process."""
    for upload_id in ImportUpload.objects.using(database()).filter(batch=batch).values_list("pk", flat=True):
        yield queues.Message(name=queues.SPLIT_UPLOAD, ids={"upload_id": upload_id})
    for chunk_id in batch.chunks.in_flight().values_list("pk", flat=True):
        yield queues.Message(name=queues.PROCESS_CHUNK, ids={"chunk_id": chunk_id})


def _run(message: queues.Message, *, batch: ImportBatch) -> None:
    """What a worker would do with it; a delay is for others to get well, and here is nobody else.

    The task id is the import's, so that a second run may take over from the first one's dead claims at once.
    """
    task_id = f"here-{batch.uuid}"
    match message.name:
        case queues.SPLIT_UPLOAD:
            split(upload_id=message.ids["upload_id"], task_id=task_id)
        case queues.PROCESS_CHUNK:
            process(chunk_id=message.ids["chunk_id"], task_id=task_id)


def _is_done(batch: ImportBatch) -> bool:
    batch.refresh_from_db()
    return Status(batch.status) in FINAL


def _progress(batch: ImportBatch) -> str:
    upload = ImportUpload.objects.using(database()).select_related("batch").get(batch_id=batch.pk)
    books = batch.chunks.books()
    received = upload.batch.received
    stored = received - books["pending"]
    read = 1.0 if upload.batch.split_done else upload.position.get("bytes", 0) / upload.size
    share = read * (stored / received if received else 1.0)
    bar = ("#" * round(BAR * share)).ljust(BAR)
    return f"[{bar}] {read:.0%} of the file read, {stored:,} of {received:,} records done"


def _shape(status: BatchStatus) -> dict[str, Any]:
    return {
        "id": str(status.id),
        "status": status.status.value,
        "format": status.format,
        "chunks": dict(status.chunks),
        "records": dict(status.records),
        "unknown_types": dict(status.unknown_types),
        "error": {"code": status.error.code} if status.error else None,
    }


def _as_text(status: BatchStatus) -> str:
    lines = [f"import {status.id}: {status.status}"]
    if status.status in FINAL:
        lines += [f"  {name}: {number}" for name, number in status.records.items() if number]
    return "\n".join(lines)
