"""Rate limits in the caches that can keep them, exact to the unit, and what becomes of them when the cache is away."""

from __future__ import annotations

import logging
import os
import pickle
import re
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.redis import RedisCache
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as some
from redis.crc import key_slot

from django_healthkit_ingest.core.buckets import Draw, refill, settle
from django_healthkit_ingest.core.quotas import Quota
from django_healthkit_ingest.exceptions import RateLimited, Unavailable
from django_healthkit_ingest.pipeline import limits
from django_healthkit_ingest.pipeline.buckets import take_in_redis
from django_healthkit_ingest.pipeline.limits import Allowance, charge, rate_limit_headers
from example_project.services.ports import listen
from example_project.services.supervise import Supervised
from example_project.services.valkey import answers, find_program, start_server

THREADS = 8
PASSWORD = secrets.token_urlsafe(16)
BACKENDS = {
    "django-redis": "django_redis.cache.RedisCache",
    "django": "django.core.cache.backends.redis.RedisCache",
    "memory": "django.core.cache.backends.locmem.LocMemCache",
}

RACER = """
import os, sys
from django.conf import settings
settings.configure(
    SECRET_KEY="of both",
    CACHES={"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": os.environ["REDIS_URL"]}},
    HEALTHKIT_INGEST={"RATE_LIMITS": {"requests": "100/day"}},
)
from django_healthkit_ingest.exceptions import RateLimited
from django_healthkit_ingest.pipeline.limits import charge
user_id, times = sys.argv[1], int(sys.argv[2])
charge(user_id=f"warm {os.getpid()}", device=None, requests=1)
print("ready", flush=True)
sys.stdin.readline()
admitted = 0
for _ in range(times):
    try:
        charge(user_id=user_id, device=None, requests=1)
    except RateLimited:
        continue
    admitted += 1
print(admitted, flush=True)
"""

Configure = Callable[..., None]


class Untouchable(BaseCache):
    def __init__(self, name: str, params: dict[str, Any]) -> None:
        raise AssertionError("the cache was asked for")


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process says some things once."""
    monkeypatch.setattr(limits, "_said", {})


@pytest.fixture
def limited(settings: Any) -> Configure:
    def configure(*, on_failure: str = "allow", **quotas: str) -> None:
        settings.HEALTHKIT_INGEST = {"RATE_LIMITS": quotas, "RATE_LIMIT_ON_CACHE_FAILURE": on_failure}

    return configure


@pytest.fixture(params=sorted(BACKENDS))
def cache(request: pytest.FixtureRequest, settings: Any) -> str:
    """Each kind that can keep buckets."""
    name: str = request.param
    location = str(uuid4()) if name == "memory" else os.environ["REDIS_URL"]
    settings.CACHES = {"default": {"BACKEND": BACKENDS[name], "LOCATION": location}}
    return name


@pytest.fixture
def user_id() -> str:
    return str(uuid4())


@pytest.fixture(params=["django-redis", "django"])
def own_server(request: pytest.FixtureRequest, settings: Any) -> Iterator[tuple[Supervised, int]]:
    """A Valkey that may be hurt, as the default cache."""
    program, _ = find_program()
    server, port = listen(
        lambda port: start_server(program, port=port, password=PASSWORD),
        ready=lambda server, port: answers(port, password=PASSWORD),
    )
    name = "SOCKET_TIMEOUT" if request.param == "django-redis" else "socket_timeout"
    settings.CACHES = {
        "default": {
            "BACKEND": BACKENDS[request.param],
            "LOCATION": f"redis://:{PASSWORD}@127.0.0.1:{port}/0",
            "OPTIONS": {name: 0.2},
        }
    }
    with server:
        yield server, port


def admitted(**costs: Any) -> bool:
    try:
        charge(**{"device": None, **costs})
    except RateLimited:
        return False
    return True


def race(calls: list[Callable[[], bool]]) -> int:
    """How many of the calls were admitted; the threads begin at the same instant and share the calls."""
    barrier = threading.Barrier(THREADS)
    usual = sys.getswitchinterval()

    def run(mine: list[Callable[[], bool]]) -> int:
        barrier.wait(60)
        try:
            return sum(call() for call in mine)
        finally:
            disconnect()

    sys.setswitchinterval(1e-6)  # else a thread is seldom interrupted between its look and its taking
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            return sum(pool.map(run, [calls[place::THREADS] for place in range(THREADS)]))
    finally:
        sys.setswitchinterval(usual)


def disconnect() -> None:
    """Django leaves a thread's connections to the garbage collector, which may find the socket before its owner."""
    for cache in caches.all(initialized_only=True):
        if isinstance(cache, RedisCache):
            cache._cache.get_client(write=True).connection_pool.disconnect()


def eventually(claim: Callable[[], bool], *, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not claim():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def left(allowances: tuple[Allowance, ...]) -> dict[str, int]:
    return {each.name: each.remaining for each in allowances}


def test_a_charge_answers_what_is_left(cache: str, limited: Configure, user_id: str) -> None:
    limited(requests="600/day", bytes="2000/day", records="50/day", device_requests="300/day", device_bytes="1000/day")

    first = charge(user_id=user_id, device="phone", requests=1, bytes=500, records=7)
    second = charge(user_id=user_id, device="watch", requests=2)
    third = charge(user_id=user_id, device=None, bytes=600)

    assert first == (
        Allowance(name="requests", amount=600, seconds=86400, remaining=599, reset=0),
        Allowance(name="bytes", amount=2000, seconds=86400, remaining=1500, reset=0),
        Allowance(name="records", amount=50, seconds=86400, remaining=43, reset=0),
        Allowance(name="device_requests", amount=300, seconds=86400, remaining=299, reset=0),
        Allowance(name="device_bytes", amount=1000, seconds=86400, remaining=500, reset=0),
    )
    assert left(second) == {"requests": 597, "device_requests": 298}
    assert left(third) == {"bytes": 900}


def test_users_and_devices_have_buckets_of_their_own(cache: str, limited: Configure) -> None:
    limited(requests="3/day", device_requests="1/day")
    one, other = str(uuid4()), str(uuid4())

    assert admitted(user_id=one, device="phone", requests=1)
    assert not admitted(user_id=one, device="phone", requests=1)
    assert admitted(user_id=one, device="watch", requests=1)
    assert admitted(user_id=one, device="", requests=1), "no name is no device"
    assert not admitted(user_id=one, device="tablet", requests=1), "the user's own bucket is empty"
    assert admitted(user_id=other, device="phone", requests=1), "another user's device may have the same name"


@pytest.mark.parametrize("kind", ["bytes", "records", "device_bytes", "device_records"])
def test_a_body_larger_than_the_bucket_passes_once_and_is_paid_for(
    cache: str, limited: Configure, user_id: str, kind: str
) -> None:
    limited(**{kind: "100/day"})
    measure = kind.removeprefix("device_")

    (allowance,) = charge(user_id=user_id, device="phone", **{measure: 400})
    with pytest.raises(RateLimited) as refused:
        charge(user_id=user_id, device="phone", **{measure: 1})

    assert (allowance.name, allowance.remaining) == (kind, 0)
    assert 86400 * 3 < allowance.reset <= 86400 * 3.01 + 1
    assert refused.value.allowances[0].remaining == 0
    assert 86400 * 2.99 < refused.value.retry_after <= 86400 * 3.01 * 1.2 + 1


def test_a_refusal_charges_nothing(cache: str, limited: Configure, user_id: str) -> None:
    limited(requests="5/day", bytes="100/day", device_requests="2/day")
    charge(user_id=user_id, device="phone", requests=2, bytes=10)

    with pytest.raises(RateLimited, match=r"The limit of device_requests is reached\.") as refused:
        charge(user_id=user_id, device="phone", requests=1, bytes=10)

    assert left(refused.value.allowances) == {"requests": 3, "bytes": 90, "device_requests": 0}
    assert left(charge(user_id=user_id, device=None, requests=1, bytes=1)) == {"requests": 2, "bytes": 89}


def test_an_empty_bucket_fills_again(cache: str, limited: Configure, user_id: str) -> None:
    limited(requests="100/min")
    charge(user_id=user_id, device=None, requests=100)

    assert not admitted(user_id=user_id, requests=100)
    assert eventually(lambda: admitted(user_id=user_id, requests=1))


def test_retry_after_is_jittered_and_the_reset_is_not(cache: str, limited: Configure, user_id: str) -> None:
    limited(requests="1/day")
    charge(user_id=user_id, device=None, requests=1)

    refusals = []
    for _ in range(30):
        with pytest.raises(RateLimited) as refused:
            charge(user_id=user_id, device=None, requests=1)
        refusals.append(refused.value)

    assert len({refusal.retry_after for refusal in refusals}) > 5
    for refusal in refusals:
        assert refusal.allowances[0].reset <= 86400
        assert refusal.allowances[0].reset <= refusal.retry_after <= 86400 * 1.2


def test_a_refusal_has_header_fields_and_survives_pickling(cache: str, limited: Configure, user_id: str) -> None:
    limited(requests="1/day")
    charge(user_id=user_id, device=None, requests=1)
    with pytest.raises(RateLimited) as refused:
        charge(user_id=user_id, device=None, requests=1)

    copy = pickle.loads(pickle.dumps(refused.value))

    assert (str(copy), copy.retry_after, copy.allowances) == (
        str(refused.value),
        refused.value.retry_after,
        refused.value.allowances,
    )
    fields = rate_limit_headers(copy.allowances)
    assert fields["RateLimit-Policy"] == '"requests";q=1;w=86400'
    assert re.fullmatch(r'"requests";r=0;t=8\d{4}', fields["RateLimit"])


def test_a_race_admits_exactly_the_bucket(cache: str, limited: Configure, user_id: str) -> None:
    limited(requests="1000/day")

    passed = race([lambda: admitted(user_id=user_id, requests=1)] * 3000)

    assert passed == 1000


def test_a_race_runs_into_debt_once(cache: str, limited: Configure, user_id: str) -> None:
    limited(bytes="1000/day", records="100000/day")

    passed = race([lambda: admitted(user_id=user_id, bytes=300, records=1)] * 80)

    assert passed == 4, "three leave 100 bytes, which the fourth may still take"
    assert left(charge(user_id=user_id, device=None, records=1)) == {"records": 100_000 - 5}


def test_a_race_between_devices_takes_nothing_from_the_user_for_what_a_device_was_refused(
    cache: str, limited: Configure, user_id: str
) -> None:
    limited(requests="100/day", device_requests="30/day")
    devices = ["phone", "watch"] * 100

    passed = race([partial(admitted, user_id=user_id, device=device, requests=1) for device in devices])

    assert passed == 60
    assert left(charge(user_id=user_id, device=None, requests=1)) == {"requests": 39}


def test_a_race_between_processes_admits_exactly_the_bucket(user_id: str) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, user_id, "200"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        outputs = [racer.communicate(timeout=60)[0] for racer in racers]
    finally:
        for racer in racers:
            racer.kill()
            racer.wait(10)

    assert sum(map(int, outputs)) == 100


bucket_draws = some.dictionaries(
    keys=some.sampled_from(("a", "b", "c")),
    values=some.tuples(some.sampled_from(("requests", "bytes", "device_records")), some.integers(1, 10**6)),
    min_size=1,
)
fast_quotas = some.builds(Quota, amount=some.integers(1, 10**9), seconds=some.sampled_from((1, 60, 86400)))


@hypothesis_settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=some.lists(bucket_draws, min_size=1, max_size=25), quotas=some.tuples(*[fast_quotas] * 3))
def test_redis_does_the_sums_of_the_core(
    calls: list[dict[str, tuple[str, int]]], quotas: tuple[Quota, Quota, Quota]
) -> None:
    """To the bit, at the instants of the server's clock. Buckets of a billion a second refill from call to call."""
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    run = uuid4()
    quota = dict(zip("abc", quotas, strict=True))
    kept: dict[str, tuple[float, int]] = {}
    try:
        for call in calls:
            draws = {
                f"{run}:{{same}}:{key}": Draw(name=name, quota=quota[key], cost=cost)
                for key, (name, cost) in call.items()
            }

            now, *answer = take_in_redis(client, draws)

            before = []
            for key, draw in draws.items():
                spent, at = kept.get(key, (0.0, now))
                before.append(refill(spent, quota=draw.quota, elapsed=now - at))
            passed, after = settle(tuple(draws.values()), spent=before)
            assert answer == [passed, after]
            if passed:
                kept |= {key: (spent, now) for key, spent in zip(draws, after, strict=True)}
    finally:
        client.delete(*{f"{run}:{{same}}:{key}" for key in "abc"})
        client.close()


@pytest.mark.parametrize("backend", ["django-redis", "django"])
def test_keys_name_nobody_vanish_and_lie_together(
    backend: str, limited: Configure, settings: Any, user_id: str
) -> None:
    prefix = f"site-{uuid4()}"
    settings.CACHES = {
        "default": {
            "BACKEND": BACKENDS[backend],
            "LOCATION": os.environ["REDIS_URL"],
            "KEY_PREFIX": prefix,
            "VERSION": 3,
        }
    }
    limited(requests="100/hour", device_bytes="100/hour")

    charge(user_id=user_id, device="phone-of-anna", requests=1, bytes=250)

    client = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
    keys = sorted(client.scan_iter(f"{prefix}:3:*"))
    lives = [client.ttl(key) for key in keys]
    client.close()
    assert sorted(key.split("}:")[1].split(":")[0] for key in keys) == ["device_bytes", "requests"]
    assert len({key_slot(key.encode()) for key in keys}) == 1, "of a cluster"
    assert not any(user_id in key or "anna" in key for key in keys)
    assert sorted(lives) == [pytest.approx(36, abs=5), pytest.approx(9000, abs=60)]


def test_the_server_forgets_the_script_and_the_limit_holds(
    own_server: tuple[Supervised, int], limited: Configure, user_id: str
) -> None:
    limited(requests="2/day", on_failure="deny")
    client = redis.Redis(port=own_server[1], password=PASSWORD)
    charge(user_id=user_id, device=None, requests=1)

    client.script_flush()
    client.close()

    assert left(charge(user_id=user_id, device=None, requests=1)) == {"requests": 0}
    assert not admitted(user_id=user_id, requests=1)


def stop(server: Supervised, port: int) -> None:
    server.stop()


def tell(*command: str) -> Callable[[Supervised, int], None]:
    def do(server: Supervised, port: int) -> None:
        client = redis.Redis(port=port, password=PASSWORD)
        client.execute_command(*command)  # type: ignore[no-untyped-call]
        client.close()

    return do


TROUBLE = {
    "stopped": stop,
    "hanging": tell("CLIENT", "PAUSE", "60000", "ALL"),
    "full": tell("CONFIG", "SET", "maxmemory", "1"),
    "replica": tell("REPLICAOF", "127.0.0.1", "1"),
    "no_rights": tell("ACL", "SETUSER", "default", "-@scripting"),
}


@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE.keys())
def test_redis_away_is_what_the_setting_says_and_said_once_a_minute(
    own_server: tuple[Supervised, int],
    trouble: Callable[[Supervised, int], None],
    limited: Configure,
    user_id: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    limited(requests="100/day")
    charge(user_id=user_id, device="anna", requests=1)
    trouble(*own_server)

    allowed = [charge(user_id=user_id, device="anna", requests=1) for _ in range(3)]
    limited(requests="100/day", on_failure="deny")
    with pytest.raises(Unavailable) as refused:
        charge(user_id=user_id, device="anna", requests=1)

    assert allowed == [(), (), ()]
    assert 30 <= refused.value.retry_after <= 36
    (record,) = [record for record in caplog.records if record.name == "django_healthkit_ingest"]
    assert record.levelno == logging.WARNING
    assert re.fullmatch(r"The rate limits' cache is away \(\w+\): requests are not counted\.", record.getMessage())

    limits._said["away"] -= limits.PATIENCE
    with pytest.raises(Unavailable):
        charge(user_id=user_id, device="anna", requests=1)

    assert "requests are put off" in caplog.text


def test_redis_back_is_counted_with_again(own_server: tuple[Supervised, int], limited: Configure, user_id: str) -> None:
    limited(requests="100/day")
    server, port = own_server
    server.stop()
    assert charge(user_id=user_id, device=None, requests=1) == ()

    with start_server(find_program()[0], port=port, password=PASSWORD) as again:
        again.wait_until(lambda: answers(port, password=PASSWORD))

        assert left(charge(user_id=user_id, device=None, requests=1)) == {"requests": 99}


UNUSABLE: dict[str, dict[str, Any]] = {
    "dummy": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
    "database": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache"},
    "files": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": "/nowhere"},
    "memcached": {"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache", "LOCATION": "127.0.0.1:1"},
    "sharded": {
        "BACKEND": BACKENDS["django-redis"],
        "LOCATION": ["redis://127.0.0.1:1/0", "redis://127.0.0.1:1/1"],
        "OPTIONS": {"CLIENT_CLASS": "django_redis.client.ShardClient"},
    },
    "wrong_url": {"BACKEND": BACKENDS["django"], "LOCATION": "127.0.0.1:6379"},
    "wrong_backend": {"BACKEND": "nowhere.Cache"},
    "wrong_client": {
        "BACKEND": BACKENDS["django-redis"],
        "LOCATION": "redis://127.0.0.1:1/0",
        "OPTIONS": {"CLIENT_CLASS": "nowhere.Client"},
    },
}


@pytest.mark.parametrize("backend", UNUSABLE)
def test_a_cache_that_can_keep_no_buckets_is_as_good_as_away_and_said_once(
    backend: str, limited: Configure, settings: Any, user_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CACHES = {"default": UNUSABLE[backend]}
    limited(requests="1/day")

    allowed = [charge(user_id=user_id, device=None, requests=1) for _ in range(3)]
    limited(requests="1/day", on_failure="deny")
    with pytest.raises(Unavailable):
        charge(user_id=user_id, device=None, requests=1)

    assert allowed == [(), (), ()]
    (record,) = [record for record in caplog.records if record.name == "django_healthkit_ingest"]
    assert record.levelno == logging.ERROR


def test_an_alias_that_is_not_there_is_as_good_as_away(settings: Any, user_id: str) -> None:
    settings.HEALTHKIT_INGEST = {"RATE_LIMIT_CACHE": "limits", "RATE_LIMIT_ON_CACHE_FAILURE": "deny"}

    with pytest.raises(Unavailable):
        charge(user_id=user_id, device=None, requests=1)


def test_another_cache_than_the_default(settings: Any, user_id: str) -> None:
    settings.CACHES = {
        "default": {"BACKEND": f"{__name__}.Untouchable"},
        "limits": {"BACKEND": BACKENDS["memory"], "LOCATION": str(uuid4())},
    }
    settings.HEALTHKIT_INGEST = {"RATE_LIMIT_CACHE": "limits", "RATE_LIMITS": {"requests": "1/day"}}

    assert admitted(user_id=user_id, requests=1)
    assert not admitted(user_id=user_id, requests=1)


@pytest.mark.parametrize(
    ("options", "costs"),
    [
        ({"RATE_LIMITING_ENABLED": False}, {"requests": 1, "bytes": 1, "records": 1}),
        ({"RATE_LIMITS": {}}, {"requests": 1, "bytes": 1, "records": 1}),
        ({"RATE_LIMITS": {"bytes": "1/day"}}, {"requests": 1}),
        ({"RATE_LIMITS": {"device_requests": "1/day"}}, {"requests": 1}),
        ({}, {}),
    ],
)
def test_the_cache_is_not_asked_where_nothing_is_counted(
    options: dict[str, Any], costs: dict[str, int], settings: Any, user_id: str
) -> None:
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.Untouchable"}}
    settings.HEALTHKIT_INGEST = options

    assert charge(user_id=user_id, device=None, **costs) == ()


def test_the_cache_is_asked_where_something_is_counted(settings: Any, user_id: str) -> None:
    """The test above can fail."""
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.Untouchable"}}

    with pytest.raises(AssertionError, match="asked for"):
        charge(user_id=user_id, device=None, requests=1)
