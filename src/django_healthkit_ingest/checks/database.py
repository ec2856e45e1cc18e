from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections

from django_healthkit_ingest.models import database
from django_healthkit_ingest.pipeline.store.engine import ENGINES


@register(Tags.database, "healthkit_ingest")
def check_database(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """E002: an engine the merge does not speak. E003: psycopg 2. W002: a stricter isolation level."""
    connection: Any = connections[database()]
    if connection.vendor not in ENGINES:
        return [
            Error(
                f"The database engine {connection.vendor!r} cannot hold health data.",
                hint="Use PostgreSQL (or SQLite for development); a DATABASE_ROUTERS entry may send the app "
                "'healthkit_ingest' to a database of its own.",
                id="healthkit_ingest.E002",
            )
        ]
    if connection.vendor != "postgresql":
        return []
    messages: list[CheckMessage] = []
    if not connection.Database.__version__.startswith("3"):
        messages.append(
            Error(
                "The merge needs psycopg 3.",
                hint='Run: pip install "django-healthkit-ingest[postgres]" and remove psycopg2.',
                id="healthkit_ingest.E003",
            )
        )
    if "isolation_level" in connection.settings_dict["OPTIONS"]:
        messages.append(
            Warning(
                "The database's OPTIONS set an isolation level; chunks are merged at READ COMMITTED all the same.",
                hint="Remove 'isolation_level' unless your own code needs it.",
                id="healthkit_ingest.W002",
            )
        )
    return messages
