from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any

from django.apps import AppConfig
from django.core.cache import BaseCache, caches
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured

from django_healthkit_ingest.checks.host import readable_settings
from django_healthkit_ingest.pipeline.buckets import is_redis


@register("healthkit_ingest")
def check_rate_limit_cache(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E018: requests would pass uncounted, or be refused, as long as the host runs."""
    alias = alias_in_use()
    if alias is None:
        return []
    if alias not in caches.settings:
        says = f"CACHES has no entry {alias!r}, which RATE_LIMIT_CACHE names."
    else:
        cache = find_cache(alias)
        if isinstance(cache, LocMemCache) or (cache is not None and is_redis(cache)):
            return []
        says = f"The cache {alias!r} can keep no rate limits: nothing in it can be looked at and taken in one step."
    return [
        Error(
            says,
            hint="Set HEALTHKIT_INGEST['RATE_LIMIT_CACHE'] to the alias of a Redis that is not sharded (pip install "
            '"django-healthkit-ingest[redis]"), or of local memory on your own machine; or switch off with '
            "RATE_LIMITING_ENABLED.",
            id="healthkit_ingest.E018",
        )
    ]


@register("healthkit_ingest", deploy=True)
def check_rate_limits_deployed(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    alias = alias_in_use()
    if alias is None or alias not in caches.settings:
        return []
    cache = find_cache(alias)
    if isinstance(cache, LocMemCache):
        return [
            Warning(
                f"The rate limits are kept in local memory (the cache {alias!r}): each process counts for itself.",
                hint="Set HEALTHKIT_INGEST['RATE_LIMIT_CACHE'] to the alias of a Redis.",
                id="healthkit_ingest.W021",
            )
        ]
    if cache is not None and is_redis(cache) and not has_timeout(caches.settings[alias]):
        return [
            Warning(
                f"The Redis of the cache {alias!r} has no socket timeout: if it hangs, it holds every request.",
                hint="Set SOCKET_TIMEOUT to 0.5 in its OPTIONS (with Django's own Redis backend: socket_timeout).",
                id="healthkit_ingest.W020",
            )
        ]
    return []


def alias_in_use() -> str | None:
    """None where no limit is kept, or E001 has said what is wrong."""
    options = readable_settings()
    if options is None or not options.rate_limiting_enabled or not options.rate_limits:
        return None
    return options.rate_limit_cache


def find_cache(alias: str) -> BaseCache | None:
    """The object alone: backends connect when they are first asked. None for one that cannot be made."""
    try:
        return caches[alias]
    except (ImproperlyConfigured, ImportError):
        return None


def has_timeout(entry: dict[str, Any]) -> bool:
    """redis-py 8 has a timeout of its own, older ones have none."""
    options = entry.get("OPTIONS", {})
    given = {name.lower(): value for name, value in {**options, **options.get("CONNECTION_POOL_KWARGS", {})}.items()}
    return bool(given.get("socket_timeout", "socket_timeout=" in str(entry.get("LOCATION")) or default_timeout()))


def default_timeout() -> object:
    from redis import Redis

    return signature(Redis.__init__).parameters["socket_timeout"].default
