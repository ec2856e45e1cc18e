"""One test per check id; each plants the fault the check is there for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery, current_app
from django.core.checks import run_checks
from django.db import connections

from django_healthkit_ingest.checks import deployment, limits, transport
from django_healthkit_ingest.models import database
from django_healthkit_ingest.pipeline import buckets
from django_healthkit_ingest.queues import PROCESS_CHUNK
from django_healthkit_ingest.sqs import guards
from django_healthkit_ingest.sqs.celery_settings import celery_settings
from tests.celery_host import celery_host

pytestmark = pytest.mark.django_db(databases="__all__")  # SQLite asks its library what it can do

QUEUE = "apple-health-imports"
QUEUE_URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/imports"
OPTIONS = "CELERY_BROKER_TRANSPORT_OPTIONS"

Host = Callable[..., None]


def ours(**options: Any) -> set[str]:
    found = run_checks(databases=list(connections), **options)
    return {str(message.id) for message in found if str(message.id).startswith("healthkit_ingest.")}


def deployed() -> set[str]:
    return ours(include_deployment_checks=True, tags=["healthkit_ingest"])


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A Celery app of the host's own, with these settings, for as long as the test runs."""
    for name in ("AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    with celery_host() as configure:
        yield configure


@pytest.fixture
def sound(host: Host) -> Callable[..., None]:
    """A sound host on SQS, with these settings laid over its own."""

    def configure(**settings: object) -> None:
        host({**celery_settings(queue_url=QUEUE_URL), **settings})

    return configure


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setenv("REMAP_SIGTERM", "SIGQUIT")
    monkeypatch.setattr(deployment, "SENDS_GROUPS", True)
    storages = {**settings.STORAGES, "bucket": {"BACKEND": "django.core.files.storage.InMemoryStorage"}}
    settings.STORAGES = storages
    settings.HEALTHKIT_INGEST = {"UPLOAD_STORAGE": "bucket"}


def options_with(**options: object) -> dict[str, Any]:
    settings: Any = celery_settings(queue_url=QUEUE_URL)
    return {OPTIONS: {**settings[OPTIONS], **options}}


def test_a_sound_host_is_silent() -> None:
    assert ours() == set()


def test_a_sound_host_on_sqs_is_silent(sound: Host) -> None:
    sound()

    assert ours() == set()


def test_a_sound_host_on_redis_is_silent(host: Host) -> None:
    host(celery_settings(broker_url="redis://localhost:6379/0"))

    assert ours() == set()


def test_a_sound_host_with_other_tasks_is_silent(host: Host) -> None:
    theirs: Any = celery_settings(
        queue_url=QUEUE_URL,
        default_queue=False,
        CELERY_BROKER_TRANSPORT_OPTIONS={"predefined_queues": {"mail": {"url": f"{QUEUE_URL}-mail"}}},
        CELERY_TASK_ROUTES={"mail.*": {"queue": "mail"}},
    )
    host(
        {
            **theirs,
            "CELERY_BROKER_URL": "sqs://",
            "CELERY_TASK_DEFAULT_QUEUE": "mail",
            "CELERY_TASK_TIME_LIMIT": 60,
            "CELERY_RESULT_BACKEND": "cache+memory://",
        }
    )

    assert ours() == set()


def test_a_sound_host_in_production_is_silent(sound: Host, production: None) -> None:
    sound()

    assert deployed() == set()


def test_e001_settings_that_cannot_be_read(sound: Host, settings: Any) -> None:
    sound()
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZ": 1}

    assert ours() == {"healthkit_ingest.E001"}


def test_w001_stale_after_within_a_lease(settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"STALE_AFTER": timedelta(seconds=200)}

    assert ours() == {"healthkit_ingest.W001"}


def test_e002_a_database_the_merge_does_not_speak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections[database()], "vendor", "oracle")

    assert "healthkit_ingest.E002" in ours(tags=["healthkit_ingest"])


def test_e003_psycopg_2(monkeypatch: pytest.MonkeyPatch) -> None:
    connection: Any = connections[database()]
    if connection.vendor != "postgresql":
        pytest.skip("the check is about PostgreSQL's driver; this environment runs on SQLite")

    class Psycopg2:
        __version__ = "2.9.10 (dt dec pq3 ext lo64)"

    monkeypatch.setattr(type(connection), "Database", Psycopg2)

    assert "healthkit_ingest.E003" in ours(tags=["healthkit_ingest"])


def test_w002_a_stricter_isolation_level(monkeypatch: pytest.MonkeyPatch) -> None:
    connection: Any = connections[database()]
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no isolation levels to choose from; this environment runs on SQLite")
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "isolation_level", 4)

    assert ours(tags=["healthkit_ingest"]) == {"healthkit_ingest.W002"}


def test_e004_local_times(settings: Any) -> None:
    settings.USE_TZ = False

    assert ours(tags=["healthkit_ingest"]) == {"healthkit_ingest.E004"}


def test_e005_a_plain_host_in_the_broker_url(sound: Host, settings: Any) -> None:
    sound(CELERY_BROKER_URL="sqs://sqs.eu-west-1.amazonaws.com")

    assert ours() == {"healthkit_ingest.E005"}

    settings.DEBUG = True

    assert ours() == set()


def test_e006_no_predefined_queues(sound: Host, settings: Any) -> None:
    sound(**options_with(predefined_queues={}))

    assert ours() == {"healthkit_ingest.E006"}

    settings.DEBUG = True

    assert ours() == set()


def test_e007_a_queue_that_is_not_predefined(sound: Host) -> None:
    sound(**options_with(predefined_queues={"another": {"url": QUEUE_URL}}))

    assert ours() == {"healthkit_ingest.E007"}


def test_e008_a_prefix_beside_predefined_queues(sound: Host) -> None:
    sound(**options_with(queue_name_prefix="dev-"))

    assert ours() == {"healthkit_ingest.E008"}


@pytest.mark.parametrize(
    ("check_id", "annotation"),
    [
        ("healthkit_ingest.E009", {"acks_late": False}),
        ("healthkit_ingest.E010", {"acks_on_failure": True, "acks_on_failure_or_timeout": True}),
        ("healthkit_ingest.E011", {"acks_on_timeout": True, "acks_on_failure_or_timeout": True}),
    ],
)
def test_e009_e010_e011_a_message_deleted_too_soon(sound: Host, check_id: str, annotation: dict[str, object]) -> None:
    sound(CELERY_TASK_ANNOTATIONS={PROCESS_CHUNK: annotation})

    assert check_id in ours()


@pytest.mark.parametrize(
    "queue",
    [
        {"backoff_policy": {"1": 1}, "backoff_tasks": [PROCESS_CHUNK]},
        {"backoff_policy": {1: 43201}, "backoff_tasks": [PROCESS_CHUNK]},
        {"backoff_policy": {1: 1}, "backoff_tasks": ["process_chunk"]},
    ],
)
def test_e012_a_backoff_without_effect(sound: Host, queue: dict[str, object]) -> None:
    sound(**options_with(predefined_queues={QUEUE: {"url": QUEUE_URL, **queue}}))

    assert ours() == {"healthkit_ingest.E012"}


def test_e013_a_kombu_that_needs_its_guards(sound: Host, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sound()
    settings.HEALTHKIT_INGEST = {"SQS_GUARDS": False}
    monkeypatch.setattr(guards, "fails_on_empty_answer", lambda: True)

    assert ours() == {"healthkit_ingest.E013"}


def test_e014_backoff_without_its_guard(sound: Host, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = {"backoff_policy": {1: 1}, "backoff_tasks": [PROCESS_CHUNK]}
    sound(**options_with(predefined_queues={QUEUE: {"url": QUEUE_URL, **waits}}))
    assert ours() == set()

    settings.HEALTHKIT_INGEST = {"SQS_GUARDS": False}
    for name in ("fails_on_empty_answer", "polls_without_timeout"):
        monkeypatch.setattr(guards, name, lambda: False)
    monkeypatch.setattr(guards, "fails_on_requeue_with_backoff", lambda: True)

    assert ours() == {"healthkit_ingest.E014"}


def test_e015_an_upload_storage_that_is_not_there(settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"UPLOAD_STORAGE": "uploads"}

    assert ours() == {"healthkit_ingest.E015"}


def test_e016_a_visibility_timeout_shorter_than_a_lease(host: Host) -> None:
    host({**celery_settings(broker_url="redis://localhost:6379/0"), OPTIONS: {"visibility_timeout": 330}})
    assert ours() == {"healthkit_ingest.E016"}

    host({**celery_settings(broker_url="redis://localhost:6379/0"), OPTIONS: {"visibility_timeout": 600}})
    assert ours() == set()


def test_e017_sqs_without_its_libraries(sound: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    sound()
    monkeypatch.setattr(transport, "find_spec", lambda name: None)

    assert ours() == {"healthkit_ingest.E017"}


REDIS = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
DJANGOS_REDIS = {**REDIS, "BACKEND": "django.core.cache.backends.redis.RedisCache"}
MEMORY = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}


@pytest.mark.parametrize(
    "cache",
    [
        {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
        {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache"},
        {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": "/nowhere"},
        {"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache", "LOCATION": "127.0.0.1:1"},
        {**REDIS, "OPTIONS": {"CLIENT_CLASS": "django_redis.client.ShardClient"}},
        {"BACKEND": "nowhere.Cache"},
        None,
    ],
)
def test_e018_a_cache_that_can_keep_no_buckets(settings: Any, cache: dict[str, Any] | None) -> None:
    settings.CACHES = {"default": MEMORY, **({"limits": cache} if cache else {})}
    settings.HEALTHKIT_INGEST = {"RATE_LIMIT_CACHE": "limits"}

    assert ours(tags=["healthkit_ingest"]) == {"healthkit_ingest.E018"}

    switched_off: tuple[dict[str, object], ...] = ({"RATE_LIMITING_ENABLED": False}, {"RATE_LIMITS": {}})
    for options in switched_off:
        settings.HEALTHKIT_INGEST = {"RATE_LIMIT_CACHE": "limits", **options}

        assert ours(tags=["healthkit_ingest"]) == set()


@pytest.mark.parametrize("cache", [REDIS, DJANGOS_REDIS])
def test_e018_redis_without_its_library(settings: Any, monkeypatch: pytest.MonkeyPatch, cache: dict[str, Any]) -> None:
    settings.CACHES = {"default": cache}
    monkeypatch.setattr(buckets, "find_spec", lambda name: None)

    assert ours(tags=["healthkit_ingest"]) == {"healthkit_ingest.E018"}


@pytest.mark.parametrize("cache", [REDIS, DJANGOS_REDIS, MEMORY])
def test_a_cache_that_can_keep_buckets_is_not_connected_to(settings: Any, cache: dict[str, Any]) -> None:
    settings.CACHES = {"default": cache}

    assert ours(tags=["healthkit_ingest"]) == set()


@pytest.mark.parametrize("multiplier", [0, 4])
def test_w003_prefetch(sound: Host, multiplier: int) -> None:
    sound(CELERY_WORKER_PREFETCH_MULTIPLIER=multiplier)

    assert ours() == {"healthkit_ingest.W003"}


@pytest.mark.parametrize("interval", [1, 5])
def test_w004_a_polling_interval_that_caps_the_rate(
    sound: Host, interval: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "kombu_version", lambda: (5, 7))
    sound(**options_with(polling_interval=interval))

    assert ours() == {"healthkit_ingest.W004"}


def test_w005_a_visibility_timeout_in_the_wrong_place(sound: Host) -> None:
    sound(**options_with(visibility_timeout=600))

    assert ours() == {"healthkit_ingest.W005"}


@pytest.mark.parametrize(
    "limits",
    [
        {"CELERY_TASK_TIME_LIMIT": None},
        {"CELERY_TASK_ANNOTATIONS": {PROCESS_CHUNK: {"time_limit": 3600}}},
    ],
)
def test_w006_a_run_that_outlasts_its_lease(sound: Host, limits: dict[str, object]) -> None:
    sound(**limits)

    assert ours() == {"healthkit_ingest.W006"}


def test_w007_a_result_backend(sound: Host) -> None:
    sound(CELERY_RESULT_BACKEND="cache+memory://")

    assert ours() == {"healthkit_ingest.W007"}


@pytest.mark.parametrize("name", ["CELERY_WORKER_ENABLE_REMOTE_CONTROL", "CELERY_WORKER_SEND_TASK_EVENTS"])
def test_w008_remote_control(sound: Host, name: str) -> None:
    sound(**{name: True})

    assert ours() == {"healthkit_ingest.W008"}


def test_w009_a_client_without_timeouts(sound: Host) -> None:
    sound(**options_with(**{"client-config": {"connect_timeout": 1}}))

    assert ours() == {"healthkit_ingest.W009"}


def test_w010_no_time_to_stop(sound: Host, production: None) -> None:
    sound(CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT=0)

    assert deployed() == {"healthkit_ingest.W010"}
    assert ours() == set()


def test_w011_sigterm_as_it_is(sound: Host, production: None, monkeypatch: pytest.MonkeyPatch) -> None:
    sound()
    monkeypatch.delenv("REMAP_SIGTERM")

    assert deployed() == {"healthkit_ingest.W011"}


def test_w012_a_role_session_of_kombus_own(sound: Host) -> None:
    sound(**options_with(sts_role_arn="arn:aws:iam::123456789012:role/imports"))

    assert ours() == {"healthkit_ingest.W012"}


def test_w013_a_kombu_without_message_groups(sound: Host, production: None, monkeypatch: pytest.MonkeyPatch) -> None:
    sound()
    monkeypatch.setattr(deployment, "SENDS_GROUPS", False)

    assert deployed() == {"healthkit_ingest.W013"}


def test_w014_a_prefetch_setting_of_another_broker(sound: Host) -> None:
    sound(CELERY_WORKER_DISABLE_PREFETCH=True)

    assert ours() == {"healthkit_ingest.W014"}


@pytest.mark.parametrize("seconds", [0, 21])
def test_w015_a_wait_sqs_does_not_know(sound: Host, seconds: int) -> None:
    sound(**options_with(wait_time_seconds=seconds))

    assert ours() == {"healthkit_ingest.W015"}


def test_w016_a_default_queue_by_another_name(host: Host) -> None:
    host(celery_settings(broker_url="redis://localhost:6379/0", queue="imports"))

    assert ours() == {"healthkit_ingest.W016"}


def test_a_host_whose_routes_decide_is_silent(host: Host, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"QUEUES": {}}
    host(celery_settings(queue_url=QUEUE_URL, queue="imports"))

    assert ours() == set()

    host({**celery_settings(queue_url=QUEUE_URL), "CELERY_TASK_ROUTES": {"healthkit_ingest.*": {"queue": "elsewhere"}}})

    assert ours() == {"healthkit_ingest.E007"}


def test_w016_a_backfill_queue_no_worker_reads(host: Host, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"QUEUES": {"default": QUEUE, "backfill": "backfill"}}
    host(celery_settings(broker_url="redis://localhost:6379/0"))

    assert ours() == {"healthkit_ingest.W016"}

    host(celery_settings(broker_url="redis://localhost:6379/0", CELERY_TASK_QUEUES={QUEUE: {}, "backfill": {}}))

    assert ours() == set()


def test_looking_at_a_route_adds_no_queue_to_a_workers(host: Host) -> None:
    host({"CELERY_BROKER_URL": "memory://", "CELERY_TASK_ROUTES": {"healthkit_ingest.*": {"queue": "elsewhere"}}})

    ours()

    assert set(current_app.amqp.queues) == {"celery"}


def test_w017_files_on_one_machine(sound: Host, production: None, settings: Any) -> None:
    sound()
    settings.HEALTHKIT_INGEST = {"UPLOAD_STORAGE": "default"}

    assert deployed() == {"healthkit_ingest.W017"}
    assert ours() == set()


def test_w018_stale_before_sqs_gives_a_message_out_again(sound: Host) -> None:
    sound(CELERY_TASK_TIME_LIMIT=1000)

    assert ours() == {"healthkit_ingest.W018"}


def test_w019_no_celery_app(production: None) -> None:
    assert deployed() == {"healthkit_ingest.W019"}


def test_w019_an_app_that_other_threads_do_not_see(sound: Host, production: None) -> None:
    sound()
    Celery("default", set_as_current=False).set_default()

    assert deployed() == {"healthkit_ingest.W019"}


@pytest.mark.parametrize(
    ("cache", "cure"),
    [
        (REDIS, {"OPTIONS": {"SOCKET_TIMEOUT": 0.5}}),
        (REDIS, {"OPTIONS": {"CONNECTION_POOL_KWARGS": {"socket_timeout": 0.5}}}),
        (REDIS, {"LOCATION": "redis://127.0.0.1:1/0?socket_timeout=0.5"}),
        (DJANGOS_REDIS, {"OPTIONS": {"socket_timeout": 0.5}}),
    ],
)
def test_w020_a_redis_that_may_hang(
    sound: Host,
    production: None,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    cache: dict[str, Any],
    cure: dict[str, Any],
) -> None:
    sound()
    monkeypatch.setattr(limits, "default_timeout", lambda: None)
    settings.CACHES = {"default": cache}

    assert deployed() == {"healthkit_ingest.W020"}
    assert ours() == set()

    settings.CACHES = {"default": {**cache, **cure}}

    assert deployed() == set()


def test_w020_the_timeout_is_switched_off(sound: Host, production: None, settings: Any) -> None:
    sound()
    settings.CACHES = {"default": {**DJANGOS_REDIS, "OPTIONS": {"socket_timeout": None}}}

    assert deployed() == {"healthkit_ingest.W020"}


def test_w021_each_process_for_itself(sound: Host, production: None, settings: Any) -> None:
    sound()
    settings.CACHES = {"default": MEMORY}

    assert deployed() == {"healthkit_ingest.W021"}
    assert ours() == set()

    settings.HEALTHKIT_INGEST = {**settings.HEALTHKIT_INGEST, "RATE_LIMITING_ENABLED": False}

    assert deployed() == set()
