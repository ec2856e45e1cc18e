from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import storages

from django_healthkit_ingest.conf import IngestSettings, get_formats, get_precedence, get_registry, get_settings
from django_healthkit_ingest.queues import lease


@register("healthkit_ingest")
def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E001: ``HEALTHKIT_INGEST`` cannot be read. W001: messages would count as lost while their worker still runs."""
    try:
        options = get_settings()
        get_formats()
        get_registry()
        get_precedence()
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


@register("healthkit_ingest")
def check_time_zone_support(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E004: without ``USE_TZ`` Django would store instants as local times."""
    if settings.USE_TZ:
        return []
    return [Error("USE_TZ is False.", hint="Set USE_TZ = True: samples are instants.", id="healthkit_ingest.E004")]


@register("healthkit_ingest")
def check_upload_storage(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E015: uploads would be refused with a server error."""
    options = readable_settings()
    if options is None or options.upload_storage in storages.backends:
        return []
    return [
        Error(
            f"STORAGES has no entry {options.upload_storage!r}, which UPLOAD_STORAGE names.",
            hint="Add the entry to STORAGES, or set HEALTHKIT_INGEST['UPLOAD_STORAGE'] to one of "
            f"{', '.join(sorted(storages.backends))}.",
            id="healthkit_ingest.E015",
        )
    ]


def readable_settings() -> IngestSettings | None:
    """None where E001 has said what is wrong with them."""
    try:
        return get_settings()
    except ImproperlyConfigured:
        return None
