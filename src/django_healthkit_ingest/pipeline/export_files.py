"""The files of exports: their names, and how they go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from django_healthkit_ingest.models import Export, database
from django_healthkit_ingest.pipeline.files import delete_files

FOLDER = "healthkit_ingest/exports"

ERASED = "erased"
"""The code of an export whose user's data are gone."""


def part_name(export: UUID, *, number: int) -> str:
    """Another one each time, so that two workers who write the same part never touch each other's file."""
    return f"{FOLDER}/{export}-{number:06}-{uuid4().hex}"


def names_in(position: Mapping[str, Any]) -> list[str]:
    """Of the parts, and of whatever else may have been written."""
    return [*position.get("files", ()), *position.get("loose", ())]


def delete_export_files(export: Export) -> None:
    """Of an export that has ended: first the files, then their names. Inside a caller's transaction with its commit."""
    using = database()
    names = names_in(export.position)
    transaction.on_commit(lambda: delete_files(names), using=using)
    Export.objects.using(using).filter(pk=export.pk).forget_files()


def end_exports(*, user_id: Any) -> None:
    """None goes on, and all their files go: the user's data are being erased."""
    mine = Export.objects.using(database()).filter(user_id=user_id)
    mine.fail(now=timezone.now(), code=ERASED)
    for export in mine.with_files().only("position"):
        delete_export_files(export)
