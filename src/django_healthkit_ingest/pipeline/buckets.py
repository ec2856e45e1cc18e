"""Where the token buckets are kept: in Redis, decided by one script; or in this process's memory, under one lock.

Caches of other kinds offer no way to look and take in one step, so they are none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

from django.core.cache import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache

from django_healthkit_ingest.core.buckets import SECOND, Draw, keep_for, refill, settle

Store = Callable[[Mapping[str, Draw]], tuple[bool, tuple[float, ...]]]
"""Takes the draws by key, answers whether all were admitted, and how much of each bucket is spent now."""

_in_memory = threading.Lock()

SCRIPT = """
-- KEYS: the buckets. ARGV: four numbers for each: amount, microseconds it fills in, what it must hold, what is taken.
-- Answers 1 or 0, the instant of the decision, and what is spent of each bucket.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local admitted = 1
local buckets = {}
for place, key in ipairs(KEYS) do
  local amount, width, need, cost = unpack(ARGV, place * 4 - 3, place * 4)
  local bucket = {amount = tonumber(amount), width = tonumber(width), cost = tonumber(cost), spent = 0}
  local kept = redis.call('GET', key)
  if kept then
    local spent, at = string.match(kept, '^(%S+) (%S+)$')
    local refilled = math.max(0, now - tonumber(at)) * bucket.amount / bucket.width
    bucket.spent = math.max(0, tonumber(spent) - refilled)
  end
  if bucket.spent + tonumber(need) > bucket.amount then
    admitted = 0
  end
  buckets[place] = bucket
end
local answer = {admitted, string.format('%.0f', now)}
for place, bucket in ipairs(buckets) do
  if admitted == 1 then
    bucket.spent = bucket.spent + bucket.cost
    -- One more millisecond: the server counts them from the last whole one.
    local life = math.ceil(bucket.spent * bucket.width / bucket.amount / 1000) + 1
    local value = string.format('%.17g %.0f', bucket.spent, now)
    redis.call('SET', KEYS[place], value, 'PX', string.format('%.0f', life))
  end
  answer[place + 2] = string.format('%.17g', bucket.spent)
end
return answer
"""
"""The time is the server's, since web servers' clocks differ. It is answered and never asked for: a key's own expiry
goes by the server's clock too, and a test can repeat the sums at the same instants. A refusal writes nothing."""


def find_store(cache: BaseCache) -> Store | None:
    """None for a cache that can keep no buckets. Nothing is connected to before the store is used, unless the host's
    own client class does so. Raises what the cache's client raises for settings it cannot use.
    """
    if isinstance(cache, LocMemCache):
        return lambda draws: take_in_memory(cache, draws)
    if isinstance(cache, RedisCache):
        client: Any = cache._cache.get_client(None, write=True)
    elif is_django_redis(cache):
        client = cache.client.get_client(write=True)  # type: ignore[attr-defined]  # django-redis has no types
    else:
        return None
    return lambda draws: take_in_redis(client, {cache.make_key(key): draw for key, draw in draws.items()})[1:]


def is_redis(cache: BaseCache) -> bool:
    """One that a script can run on, with the library that speaks to it."""
    return find_spec("redis") is not None and (isinstance(cache, RedisCache) or is_django_redis(cache))


def is_django_redis(cache: BaseCache) -> bool:
    """Of the kind that asks one server: a sharded cache has none of its own for a script to run on."""
    if find_spec("django_redis") is None:
        return False
    from django_redis.cache import RedisCache as DjangoRedisCache
    from django_redis.client import ShardClient

    return isinstance(cache, DjangoRedisCache) and not issubclass(cache._client_cls, ShardClient)


def take_in_redis(client: Any, draws: Mapping[str, Draw]) -> tuple[int, bool, tuple[float, ...]]:
    """When it was decided, and what a store answers. Keys are as Redis knows them; on a cluster they must share a hash
    tag. Raises RedisError and OSError.
    """
    numbers = [
        number
        for draw in draws.values()
        for number in (draw.quota.amount, draw.quota.seconds * SECOND, draw.need, draw.cost)
    ]
    admitted, now, *spent = client.register_script(SCRIPT)(keys=list(draws), args=numbers)
    return int(now), bool(admitted), tuple(map(float, spent))


def take_in_memory(cache: LocMemCache, draws: Mapping[str, Draw]) -> tuple[bool, tuple[float, ...]]:
    with _in_memory:
        now = time.monotonic_ns() // 1000
        kept = cache.get_many(draws)
        levels = []
        for key, draw in draws.items():
            spent, at = kept.get(key, (0.0, now))
            levels.append(refill(spent, quota=draw.quota, elapsed=now - at))
        admitted, after = settle(tuple(draws.values()), spent=levels)
        if admitted:
            for (key, draw), spent in zip(draws.items(), after, strict=True):
                cache.set(key, (spent, now), timeout=keep_for(draw, spent=spent) + 1)
        return admitted, after
