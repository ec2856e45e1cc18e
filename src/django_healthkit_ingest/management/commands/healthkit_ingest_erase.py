from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_healthkit_ingest.conf import get_registry
from django_healthkit_ingest.exceptions import HealthKitIngestError
from django_healthkit_ingest.management.users import find_user_id
from django_healthkit_ingest.models import TypeIdentifier, database
from django_healthkit_ingest.pipeline.consent import identify
from django_healthkit_ingest.pipeline.erase import ErasureStatus, erase_user, user_exists


class Command(BaseCommand):
    help = "Erase everything of a user, or some types, in this process and to the end; print the receipt."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", required=True, help="primary key or name (USERNAME_FIELD); a deleted user's key")
        parser.add_argument("--type", action="append", help="only this type, by identifier or alias; may be repeated")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--json", action="store_true", help="print one JSON object; needs --yes")

    def handle(self, *args: Any, **options: Any) -> None:
        user_id = find_user_id(options["user"])
        types = options["type"]
        _check(types or ())
        if not options["yes"]:
            self._ask(types, is_deleted=not user_exists(user_id=user_id), as_json=options["json"])
        try:
            receipt = erase_user(user_id=user_id, identifiers=types)
        except HealthKitIngestError as error:
            raise CommandError(f"{error.title} ({error.code}). {error.detail}") from None
        self.stdout.write(json.dumps(_shape(receipt)) if options["json"] else _as_text(receipt))

    def _ask(self, types: Sequence[str] | None, *, is_deleted: bool, as_json: bool) -> None:
        if as_json:
            raise CommandError("--json does not ask: add --yes.")
        what = f"{len(types)} types" if types else "everything"
        whose = "a user who does not exist (any more)" if is_deleted else "the user"
        if input(f"Erase {what} of {whose}, for good? [y/N] ").strip().lower() not in ("y", "yes"):
            raise CommandError("Nothing was erased.")


def _check(types: Sequence[str]) -> None:
    """A name that is misspelt finds nothing, and would look like success."""
    registry = get_registry()
    unknown = {identify(name) for name in types if identify(name) not in registry}
    seen = TypeIdentifier.objects.using(database()).filter(identifier__in=unknown)
    if unknown and seen.count() < len(unknown):
        raise CommandError("A type is not known here and has never come: see healthkit_ingest_types.")


def _shape(receipt: ErasureStatus) -> dict[str, Any]:
    return {
        "id": str(receipt.id),
        "status": receipt.status.value,
        "identifiers": receipt.identifiers,
        "created_at": receipt.created_at.isoformat(),
        "finished_at": receipt.finished_at.isoformat() if receipt.finished_at else None,
        "counts": dict(receipt.counts),
    }


def _as_text(receipt: ErasureStatus) -> str:
    lines = [f"erasure {receipt.id}: {receipt.status}"]
    lines += [f"  {name}: {number}" for name, number in receipt.counts.items()]
    return "\n".join(lines)
