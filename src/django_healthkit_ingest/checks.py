"""System checks: what settings alone can show. None of them queries the database or the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from django_healthkit_ingest.conf import get_formats, get_registry, get_settings
from django_healthkit_ingest.models import database
from django_healthkit_ingest.pipeline.store.merge import ENGINES
from django_healthkit_ingest.queues import lease


@register("healthkit_ingest")
def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E001: ``HEALTHKIT_INGEST`` cannot be read. W001: messages would count as lost while their worker still runs."""
    try:
        options = get_settings()
        get_formats()
        get_registry()
    except (ImproperlyConfigured, OSError, ValueError) as error:
        return [Error(str(error), hint="Correct HEALTHKIT_INGEST in your settings.", id="healthkit_ingest.E001")]
    if options.stale_after <= lease():
        return [
            Warning(
                "STALE_AFTER is not longer than a claim's lease: sweep would re-send what is being worked on.",
                hint="Keep HEALTHKIT_INGEST['STALE_AFTER'] above Celery's task_time_limit and the queue's visibility "
                "timeout; 30 minutes is a good value.",
                id="healthkit_ingest.W001",
            )
        ]
    return []


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


@register("healthkit_ingest")
def check_time_zone_support(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E004: without ``USE_TZ`` Django would store instants as local times."""
    if settings.USE_TZ:
        return []
    return [Error("USE_TZ is False.", hint="Set USE_TZ = True: samples are instants.", id="healthkit_ingest.E004")]
