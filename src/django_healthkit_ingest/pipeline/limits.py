"""How much a user, and each of their devices, may send in how much time. Both doors ask here.

Redis holds a keyed hash of who it is, and that only until the bucket is full again.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.utils.crypto import salted_hmac

from django_healthkit_ingest.conf import MEASURES, get_settings
from django_healthkit_ingest.core.buckets import Allowance, Draw, admits, look, rate_limit_headers, wait
from django_healthkit_ingest.exceptions import RateLimited, Unavailable
from django_healthkit_ingest.pipeline.buckets import Store, find_store
from django_healthkit_ingest.pipeline.problems import KEEP, RETRY_AFTER

__all__ = ["Allowance", "charge", "rate_limit_headers"]

logger = logging.getLogger("django_healthkit_ingest")

PATIENCE = 60
"""Seconds between two lines of a process's log about a cache that is away."""

_said: dict[str, float] = {}
_saying = threading.Lock()


def charge(
    *, user_id: Any, device: str | None, requests: int = 0, bytes: int = 0, records: int = 0
) -> tuple[Allowance, ...]:
    """Take this from the buckets of the user and, where the device is known, of the device; answer what is left.

    A bucket is concerned when the setting names it and its cost is above 0. All that are concerned are decided and
    charged together, in one step: every one admits its cost, or nothing is taken. For requests a bucket must hold the
    cost. For bytes and records it must hold something: the cost is then taken in full, and what the bucket did not have
    is a debt, to be refilled before the next one. So a body larger than the bucket passes once, and is paid for.

    Raises RateLimited with the seconds until all of them would admit, up to a fifth more at random lest all phones come
    back at once; and Unavailable when the cache is away and ``RATE_LIMIT_ON_CACHE_FAILURE`` is ``deny``. Where it is
    ``allow``, and where ``RATE_LIMITING_ENABLED`` is False, there are no allowances.
    """
    costs = dict(zip(MEASURES, (requests, bytes, records), strict=True))
    draws = dict(_draws(user_id=user_id, device=device, costs=costs)) if get_settings().rate_limiting_enabled else {}
    if not draws:
        return ()
    try:
        store = _find_store()
        if store is None:
            return _without_cache()
        admitted, spent = store(draws)
    except _cache_errors() as error:
        if _is_news("away", every=PATIENCE):
            fate = {"allow": "not counted", "deny": "put off"}[get_settings().rate_limit_on_cache_failure]
            logger.warning("The rate limits' cache is away (%s): requests are %s.", type(error).__name__, fate)
        return _without_cache()
    pairs = tuple(zip(draws.values(), spent, strict=True))
    allowances = tuple(look(draw, spent=level) for draw, level in pairs)
    if admitted:
        return allowances
    reached = ", ".join(draw.name for draw, level in pairs if not admits(draw, spent=level))
    raise RateLimited(
        f"The limit of {reached} is reached. {KEEP}",
        retry_after=_jittered(wait(tuple(draws.values()), spent=spent)),
        allowances=allowances,
    )


def _draws(*, user_id: Any, device: str | None, costs: dict[str, int]) -> Iterator[tuple[str, Draw]]:
    """By key. The part in braces is the same in all keys of a user, so that a Redis Cluster has them in one place."""
    user = _hidden(user_id)
    for name, quota in get_settings().quotas().items():
        cost = costs[name.removeprefix("device_")]
        if cost <= 0:
            continue
        if not name.startswith("device_"):
            yield f"healthkit_ingest.limits:{{{user}}}:{name}", Draw(name=name, quota=quota, cost=cost)
        elif device:
            installation = _hidden(f"{user_id} {device}")
            yield f"healthkit_ingest.limits:{{{user}}}:{name}:{installation}", Draw(name=name, quota=quota, cost=cost)


def _hidden(whose: object) -> str:
    """A keyed hash, since more people may look into a cache than into the database."""
    return salted_hmac("django_healthkit_ingest.limits", str(whose), algorithm="sha256").hexdigest()[:32]


def _find_store() -> Store | None:
    """None, and a line in the log once in a process, for a cache that cannot be used (check E018)."""
    alias = get_settings().rate_limit_cache
    try:
        store = find_store(caches[alias])
        reason = "it is neither Redis nor local memory"
    except (ImproperlyConfigured, ImportError, ValueError, TypeError) as error:
        store, reason = None, type(error).__name__
    if store is None and _is_news("unusable", every=math.inf):
        logger.error("The rate limits cannot be kept in the cache that RATE_LIMIT_CACHE names: %s.", reason)
    return store


def _without_cache() -> tuple[Allowance, ...]:
    if get_settings().rate_limit_on_cache_failure == "deny":
        raise Unavailable(KEEP, retry_after=_jittered(RETRY_AFTER))
    return ()


@lru_cache(maxsize=1)
def _cache_errors() -> tuple[type[BaseException], ...]:
    """What says that the cache is away: refused, timed out, full, a replica, loading. Our own mistakes are none."""
    errors: tuple[type[BaseException], ...] = (OSError,)
    if find_spec("redis") is not None:
        from redis.exceptions import RedisError

        errors += (RedisError,)
    if find_spec("django_redis") is not None:
        from django_redis.exceptions import ConnectionInterrupted

        errors += (ConnectionInterrupted,)
    return errors


def _is_news(what: str, *, every: float) -> bool:
    now = time.monotonic()
    with _saying:
        if now - _said.get(what, -math.inf) < every:
            return False
        _said[what] = now
        return True


def _jittered(seconds: int) -> int:
    return round(seconds * random.uniform(1.0, 1.2))  # noqa: S311 - spreads retries, guards nothing
