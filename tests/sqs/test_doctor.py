"""The doctor against moto behind the fault front: silent on a sound host, a cure for each fault that is planted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from celery.signals import worker_ready
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.core.files.storage import InMemoryStorage
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone

from django_healthkit_ingest.core.states import Pausable, Status
from django_healthkit_ingest.models import ImportBatch, ImportChunk, database
from django_healthkit_ingest.pipeline.accept import accept
from django_healthkit_ingest.pipeline.switches import pause
from django_healthkit_ingest.sqs import digest
from django_healthkit_ingest.sqs.celery_settings import celery_settings
from django_healthkit_ingest.sqs.doctor import PROBES
from django_healthkit_ingest.testing import healthkit_body
from django_healthkit_ingest.testing.payloads import quantity
from example_project.services.ports import free_port
from example_project.services.queues import Queue, create_queue, sqs_client
from example_project.services.sqs import SQS
from tests.celery_host import celery_host
from tests.sqs.front import Fault, Front, wait_until


class SharedCache(LocMemCache):
    """By its class no process's own, as Redis is."""


pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(databases="__all__")]

NAME = "apple-health-imports"


def dead_name(queue: Queue) -> str:
    return queue.dead_letter_url.rpartition("/")[2]


class Findings(dict[str, tuple[str, str]]):
    """Verdict and text by name."""

    @property
    def ill(self) -> set[str]:
        return {name for name, (verdict, _) in self.items() if verdict == "CURE"}


def examine(**options: Any) -> Findings:
    out = StringIO()
    try:
        call_command("healthkit_ingest_doctor", json=True, stdout=out, **options)
        healthy = True
    except CommandError:
        healthy = False
    answer = json.loads(out.getvalue())
    findings = Findings({each["name"]: (each["verdict"], each["text"]) for each in answer["findings"]})
    assert answer["healthy"] is healthy
    assert healthy is not bool(findings.ill)
    return findings


@pytest.fixture
def queue(emulator: SQS) -> Queue:
    """As production has it, and not as fast as the other tests of SQS want it."""
    return create_queue(emulator, name=f"doctor-{free_port()}")


def set_attributes(emulator: SQS, url: str, **attributes: str) -> None:
    client: Any = sqs_client(emulator)
    client.set_queue_attributes(QueueUrl=url, Attributes=attributes)


@pytest.fixture
def host(
    emulator: SQS, front: Front, queue: Queue, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> Iterator[Callable[..., None]]:
    """A host on the emulator. It is a developer's: DEBUG is on, for what is no emulator is Amazon."""
    for name, value in replace(emulator, endpoint_url=front.url).environment().items():
        monkeypatch.setenv(name, value)
    settings.DEBUG = True
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"}}
    with celery_host() as configure:

        def configure_with(**options: Any) -> None:
            configure(celery_settings(**options))

        configure_with(queue_url=queue.url)
        yield configure_with


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("role", ["api", "worker", "operator"])
def test_a_sound_host_needs_no_cure(role: str) -> None:
    findings = examine(role=role)

    assert findings.ill == set()
    assert {"checks", "database", "migrations", "storage", "sweep", "work"} <= set(findings)
    assert findings[f"{NAME} RedrivePolicy"][0] == "OK"


@pytest.mark.usefixtures("host")
def test_it_sends_receives_and_deletes_nothing(emulator: SQS, front: Front, queue: Queue) -> None:
    client = sqs_client(emulator)
    client.send_message(QueueUrl=queue.url, MessageBody="waiting")
    client.send_message(QueueUrl=queue.dead_letter_url, MessageBody="dead")

    examine(role="operator")
    examine(role="worker")

    assert {call.action for call in front.calls} == {"GetQueueAttributes", *(each[4:] for each in PROBES)}
    for url in (queue.url, queue.dead_letter_url):
        messages = client.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["ApproximateReceiveCount"]
        )["Messages"]
        assert [message["Attributes"]["ApproximateReceiveCount"] for message in messages] == ["1"]


@pytest.mark.usefixtures("host")
def test_lines_for_people() -> None:
    out = StringIO()

    call_command("healthkit_ingest_doctor", stdout=out, no_color=True)

    lines = out.getvalue().splitlines()
    assert all(line.split()[0] in {"OK", "CURE", "SKIPPED"} for line in lines)
    assert "OK      migrations: applied" in lines


@pytest.mark.parametrize(
    ("attribute", "value", "ill"),
    [
        ("VisibilityTimeout", "330", "VisibilityTimeout"),
        ("MaximumMessageSize", "1024", "MaximumMessageSize"),
    ],
)
@pytest.mark.usefixtures("host")
def test_attributes_that_do_not_fit(emulator: SQS, queue: Queue, attribute: str, value: str, ill: str) -> None:
    set_attributes(emulator, queue.url, **{attribute: value})

    assert examine().ill == {f"{NAME} {ill}"}


@pytest.mark.usefixtures("host")
def test_a_queue_without_dead_letters(emulator: SQS, host: Callable[..., None]) -> None:
    url = sqs_client(emulator).create_queue(QueueName=f"alone-{free_port()}", Attributes={"VisibilityTimeout": "600"})[
        "QueueUrl"
    ]
    host(queue_url=url)

    assert examine().ill == {f"{NAME} RedrivePolicy"}


@pytest.mark.usefixtures("host")
def test_dead_letters_sooner_than_attempts(settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"MAX_ATTEMPTS": 6}

    assert examine().ill == {f"{NAME} RedrivePolicy"}


@pytest.mark.usefixtures("host")
def test_dead_letters_that_vanish_with_their_age(emulator: SQS, queue: Queue) -> None:
    set_attributes(emulator, queue.dead_letter_url, MessageRetentionPeriod="345600")

    assert examine(role="operator").ill == {f"{dead_name(queue)} MessageRetentionPeriod"}
    assert examine(role="api").ill == set()


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("action", sorted(PROBES))
def test_a_permission_that_is_missing(front: Front, action: str) -> None:
    front.breaks(action.removeprefix("sqs:"), Fault.DENIED)

    findings = examine(role="worker")

    assert findings.ill == {f"{NAME} {action}"}
    assert f"Allow {action}" in findings[f"{NAME} {action}"][1]


@pytest.mark.usefixtures("host")
def test_attributes_that_may_not_be_read(front: Front) -> None:
    front.breaks("GetQueueAttributes", Fault.DENIED)

    findings = examine()

    assert findings.ill == {"queue"}
    assert "GetQueueAttributes (AccessDenied)" in findings["queue"][1]


@pytest.mark.usefixtures("host")
def test_an_api_is_not_asked_for_a_workers_permissions(front: Front) -> None:
    front.breaks("ReceiveMessage", Fault.DENIED)

    assert examine(role="api").ill == set()


@pytest.mark.usefixtures("host")
def test_an_sqs_that_does_not_answer(front: Front) -> None:
    with front.refusing():
        findings = examine()

    assert findings.ill == {"queue"}
    assert "127.0.0.1" not in json.dumps(findings)


@pytest.mark.usefixtures("host")
def test_an_emulator_in_production(settings: Any) -> None:
    settings.DEBUG = False

    assert "endpoint" in examine().ill


def test_amazon_on_a_developers_machine_is_not_called(
    host: Callable[..., None], front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    host(queue_url="https://sqs.eu-west-1.amazonaws.com/123456789012/imports")

    findings = examine()

    assert findings.ill == {"endpoint"}  # the suite's network guard would have raised
    assert front.calls == []


def test_a_broker_that_is_not_sqs(host: Callable[..., None]) -> None:
    host(broker_url="memory://")

    findings = examine()

    assert findings.ill == set()
    assert findings["broker"][0] == "OK"
    assert findings["queue"][0] == "SKIPPED"


def test_a_broker_that_is_away(host: Callable[..., None]) -> None:
    host(broker_url=f"redis://127.0.0.1:{free_port()}/0")

    assert examine().ill == {"broker"}


def test_a_process_without_a_celery_app() -> None:
    assert "broker" in examine().ill


@pytest.mark.usefixtures("host")
def test_system_checks_are_among_the_findings(settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"STALE_AFTER": timedelta(seconds=200)}

    assert examine().ill == {"W001"}


@pytest.mark.usefixtures("host")
def test_settings_that_cannot_be_read_do_not_end_it(settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZ": 1}

    findings = examine()

    assert "E001" in findings.ill
    assert findings["database"][0] == "OK"


@pytest.mark.usefixtures("host")
def test_a_storage_that_loses_files(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InMemoryStorage, "delete", lambda self, name: None)

    assert examine().ill == {"storage"}


@pytest.mark.usefixtures("host")
def test_a_storage_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError("arn:aws:iam::123456789012:role/secret")

    monkeypatch.setattr(InMemoryStorage, "_save", refuse)

    findings = examine()

    assert findings.ill == {"storage"}
    assert "PermissionError" in findings["storage"][1]
    assert "secret" not in findings["storage"][1]


@pytest.mark.usefixtures("host")
def test_a_cache_that_is_away(settings: Any) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": f"redis://127.0.0.1:{free_port()}/0",
        }
    }

    assert examine().ill == {"cache", "settings"}


@pytest.mark.usefixtures("host")
def test_sessions_at_another_isolation_level() -> None:
    connection = connections[database()]
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no isolation levels to choose from; this environment runs on SQLite")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL default_transaction_isolation = 'serializable'")

    assert examine().ill == {"isolation"}


@pytest.mark.usefixtures("host")
def test_a_migration_that_is_not_applied() -> None:
    with connections[database()].cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'healthkit_ingest' AND name NOT LIKE '0001%'")

    assert examine().ill == {"migrations"}


@pytest.mark.usefixtures("host", "messages")
def test_work_that_nobody_takes_up(user: Any) -> None:
    batch = accept(healthkit_body(quantity()), user=user)
    assert examine().ill == set()

    ImportBatch.objects.using(database()).filter(pk=batch.pk).update(created_at=timezone.now() - timedelta(hours=1))
    assert examine().ill == {"work"}

    pause(Pausable.PROCESSING)
    assert examine().ill == set()


@pytest.mark.usefixtures("host", "messages")
def test_leases_that_no_sweep_ends(user: Any) -> None:
    batch = accept(healthkit_body(quantity()), user=user)
    chunks = ImportChunk.objects.using(database()).filter(batch=batch)
    long_ago = timezone.now() - timedelta(minutes=11)

    chunks.update(status=Status.PROCESSING, claimed_at=long_ago, lease_until=long_ago)

    assert examine().ill == {"sweep"}


@pytest.mark.usefixtures("host")
def test_a_worker_with_other_settings(settings: Any) -> None:
    settings.CACHES = {"default": {"BACKEND": "tests.sqs.test_doctor.SharedCache", "LOCATION": "shared"}}
    assert examine()["settings"][0] == "SKIPPED"

    worker_ready.send(sender=None)  # as a worker does when it is about to receive

    assert wait_until(lambda: digest.KEY in caches["default"], timeout=10)
    assert examine()["settings"][0] == "OK"

    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 7}
    assert examine().ill == {"settings"}


def test_a_worker_starts_without_its_cache(
    settings: Any, host: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    location = f"redis://127.0.0.1:{free_port()}/0"
    settings.CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": location}}

    digest.leave()

    assert "could not be left" in caplog.text
    assert "127.0.0.1" not in caplog.text


@pytest.mark.usefixtures("host")
def test_the_digest_alone(settings: Any) -> None:
    def print_digest() -> str:
        out = StringIO()
        call_command("healthkit_ingest_doctor", digest=True, stdout=out)
        return out.getvalue().strip()

    first, again = print_digest(), print_digest()
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 7}

    assert len(first) == 12
    assert first == again
    assert first != print_digest()
