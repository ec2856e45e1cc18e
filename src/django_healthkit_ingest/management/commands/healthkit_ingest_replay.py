from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from django_healthkit_ingest.exceptions import HealthKitIngestError
from django_healthkit_ingest.models import ImportBatch, database
from django_healthkit_ingest.pipeline.bisect import Examined, bisect
from django_healthkit_ingest.pipeline.replay import Selection, rehearse_replay, replay
from django_healthkit_ingest.queues import connect


class Command(BaseCommand):
    help = "Read what was received again, with the code and the sample types of today, and bring failed chunks back."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--batch", type=UUID, metavar="UUID", help="one import")
        parser.add_argument("--user", metavar="PK", help="all imports of one user, by primary key")
        parser.add_argument("--type", help="imports that hold records of this type, by identifier or alias")
        parser.add_argument("--failed", action="store_true", help="only chunks that are FAILED")
        parser.add_argument("--overrule", action="store_true", help="replace rows whatever their rank")
        parser.add_argument("--skip-purged", action="store_true", help="leave out imports whose payloads are gone")
        parser.add_argument("--bisect", action="store_true", help="find what chunks died of, let the rest in")
        parser.add_argument("--include-set-aside", action="store_true", help="run what --bisect has set aside, too")
        parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        if not any(options[name] for name in ("batch", "user", "type", "failed")):
            raise CommandError("Say what to replay: --batch, --user, --type or --failed.")
        alone = [name for name in ("bisect", "dry_run", "include_set_aside", "overrule") if options[name]]
        if alone not in ([], *([name] for name in alone), ["dry_run", "overrule"], ["include_set_aside", "overrule"]):
            raise CommandError(
                f"These do not go together: {', '.join('--' + name.replace('_', '-') for name in alone)}."
            )
        selection = Selection(
            batch=_batch(options["batch"]),
            user_id=_user_id(options["user"]),
            identifier=options["type"],
            only_failed=options["failed"],
            skip_purged=options["skip_purged"],
        )
        try:
            if options["bisect"]:
                answer, lines = _bisect(selection)
            elif options["dry_run"]:
                answer, lines = _rehearse(selection, overrule=options["overrule"])
            else:
                include = options["include_set_aside"]
                answer, lines = _replay(selection, overrule=options["overrule"], include_set_aside=include)
        except HealthKitIngestError as error:
            raise CommandError(f"{error.title} ({error.code}). {error.detail}") from None
        self.stdout.write(json.dumps(answer) if options["json"] else "\n".join(lines))


def _replay(selection: Selection, *, overrule: bool, include_set_aside: bool) -> tuple[dict[str, Any], list[str]]:
    connect()
    counts = asdict(replay(overrule=overrule, include_set_aside=include_set_aside, **selection))
    return counts, [f"{name}: {count}" for name, count in counts.items()]


def _rehearse(selection: Selection, *, overrule: bool) -> tuple[dict[str, Any], list[str]]:
    batches, lines = [], []
    for each in rehearse_replay(overrule=overrule, **selection):
        batches.append({"batch": str(each.batch), "chunks": each.chunks, "counts": dict(each.counts)})
        counts = ", ".join(f"{number} {name}" for name, number in each.counts.items())
        lines.append(f"{each.batch}: chunks {each.chunks}: {counts}")
    return {"batches": batches}, lines or ["Nothing to replay."]


def _bisect(selection: Selection) -> tuple[dict[str, Any], list[str]]:
    connect()
    chunks, lines = [], []
    for each in bisect(**selection):
        chunks.append({**asdict(each), "batch": str(each.batch)})
        lines.append(f"{each.batch}: chunk {each.chunk}: {_verdict(each)}")
    return {"chunks": chunks}, lines or ["No chunk is FAILED because its attempts are exhausted."]


def _verdict(chunk: Examined) -> str:
    if chunk.set_aside is None:
        return "no record is to blame; it stays FAILED, see the workers' logs"
    if not chunk.set_aside:
        return "it runs as it is, and is tried again"
    places = ", ".join(map(str, chunk.set_aside))
    return f"{len(chunk.set_aside)} of {chunk.received} {chunk.section} set aside ({places}), the rest is tried again"


def _batch(uuid: UUID | None) -> ImportBatch | None:
    if uuid is None:
        return None
    batch = ImportBatch.objects.using(database()).filter(uuid=uuid).first()
    if batch is None:
        raise CommandError("There is no import with this UUID.")
    return batch


def _user_id(text: str | None) -> Any:
    """The rows know the key alone: the user may live in another database."""
    try:
        return None if text is None else get_user_model()._meta.pk.to_python(text)
    except ValidationError:
        raise CommandError("--user takes the user's primary key.") from None
