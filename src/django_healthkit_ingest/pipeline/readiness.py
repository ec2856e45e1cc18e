"""Whether a body sent now would be accepted by this process."""

from __future__ import annotations

import logging
from typing import Literal

from django.db import DatabaseError, InterfaceError, connections
from django.db.migrations.executor import MigrationExecutor

from django_healthkit_ingest.core.states import Pausable
from django_healthkit_ingest.models import ImportBatch, database
from django_healthkit_ingest.pipeline.switches import is_paused

logger = logging.getLogger("django_healthkit_ingest")

Obstacle = Literal["database", "migrations", "paused"]

_migrated: set[str] = set()


def obstacle() -> Obstacle | None:
    """The first of: the database does not answer, its tables are older than this code, intake is paused."""
    using = database()
    try:
        if not _is_migrated(using):
            return "migrations"
        return "paused" if is_paused(Pausable.INTAKE) else None
    except (DatabaseError, InterfaceError) as error:
        logger.warning("Not ready: the database is away (%s).", type(error).__name__)
        return "database"


def _is_migrated(using: str) -> bool:
    """Of our app only. Asked until the answer is yes: nobody unmigrates under running code."""
    if using in _migrated:
        return True
    executor = MigrationExecutor(connections[using])
    label = ImportBatch._meta.app_label
    if executor.migration_plan(executor.loader.graph.leaf_nodes(label)):
        return False
    _migrated.add(using)
    return True
