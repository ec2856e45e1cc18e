"""Every phone wakes at the same minute: each request is answered, nothing is lost, nobody is told to give up.

HEALTHKIT_EIGHT_AM_USERS and HEALTHKIT_EIGHT_AM_SAMPLES say how many phones post at once, and how much each.
"""

from __future__ import annotations

import gzip
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from statistics import quantiles
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from rest_framework.authtoken.models import Token

from django_healthkit_ingest.core.states import FINAL, Status
from django_healthkit_ingest.models import HealthSample, ImportBatch
from django_healthkit_ingest.testing.payloads import quantity
from example_project import gunicorn_conf
from example_project.demo import host
from example_project.services.valkey import valkey
from tests.acceptance.raw import PATIENCE
from tests.acceptance.road import StartWorker, manage
from tests.sqs.front import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]

USERS = int(os.environ.get("HEALTHKIT_EIGHT_AM_USERS", "500"))
SAMPLES = int(os.environ.get("HEALTHKIT_EIGHT_AM_SAMPLES", "200"))
IMPATIENT = 10
"""One user in so many posts a second body at the same time."""

SECONDS = 60 + USERS * SAMPLES / 500
"""For the worker to store them all; it takes a fraction of that."""

REPAID_AFTER = 6
"""Seconds until a user who has sent one body may send another."""

WORKER_PROCESSES = 2


@dataclass(slots=True, kw_only=True)
class Phone:
    """One body, sent until it is taken."""

    token: str
    body: bytes
    statuses: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """Of each attempt, from before the connection to the last byte of the answer."""
    fault: BaseException | None = None

    def sync(self, address: str, start: threading.Barrier) -> None:
        start.wait()
        try:
            while (wait := self._post(address)) is not None:
                time.sleep(wait)
        except Exception as error:  # noqa: BLE001 - a thread has nobody to raise it to
            self.fault = error

    def _post(self, address: str) -> int | None:
        """The seconds that the server asked for; None: it has the data."""
        began = time.perf_counter()
        server = HTTPConnection(address, timeout=PATIENCE)
        headers = {
            "Authorization": f"Token {self.token}",
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "Idempotency-Key": str(id(self)),
        }
        try:
            server.request("POST", "/health/imports/", body=self.body, headers=headers)
            answer = server.getresponse()
            content = answer.read()
        finally:
            server.close()
        self.seconds.append(time.perf_counter() - began)
        self.statuses.append(answer.status)
        if answer.status == 202:
            return None
        assert answer.status in (429, 503), content
        assert json.loads(content)["retry"] == "LATER"
        return int(answer.headers["Retry-After"])


def body_of(uuids: list[UUID]) -> bytes:
    samples = [
        quantity(
            uuid=str(uuid), value=50 + number % 90, start=f"2026-01-05T{number // 60 % 24:02}:{number % 60:02}:00Z"
        )
        for number, uuid in enumerate(uuids)
    ]
    envelope = {"format": "healthkit", "version": 1, "device": {"id": "phone"}, "samples": samples}
    return gzip.compress(json.dumps(envelope, separators=(",", ":")).encode(), compresslevel=1)


def people() -> dict[Any, str]:
    """Tokens by users' primary keys."""
    model = get_user_model()
    users = model.objects.bulk_create([model(username=f"user-{number}") for number in range(USERS)])
    tokens = Token.objects.bulk_create([Token(user=user, key=Token.generate_key()) for user in users])
    return {token.user_id: token.key for token in tokens}


@pytest.fixture
def limits_cache(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Iterator[None]:
    with valkey() as server:
        monkeypatch.setenv("REDIS_URL", server.url)
        yield


def test_everybody_is_answered_and_nothing_is_lost(
    environment: dict[str, str],
    limits_cache: None,
    start_worker: StartWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokens = people()
    sent: dict[Any, list[UUID]] = {user_id: [] for user_id in tokens}
    phones: list[Phone] = []
    for number, (user_id, token) in enumerate(tokens.items()):
        for _ in range(1 if number % IMPATIENT else 2):
            uuids = [uuid4() for _ in range(SAMPLES)]
            sent[user_id] += uuids
            phones.append(Phone(token=token, body=body_of(uuids)))
    largest = max(len(phone.body) for phone in phones)
    settings = {
        "CHUNK_SIZE": 1000,
        # A body is a little more than the bucket holds; the debt is paid back after those seconds.
        "RATE_LIMITS": {"requests": "60/min", "bytes": f"{round(largest / (1 + REPAID_AFTER / 60))}/min"},
    }
    monkeypatch.setenv("TEST_HEALTHKIT_INGEST", json.dumps(settings))

    with start_worker() as worker, host.api() as url:
        began = time.monotonic()
        wake(phones, address=urlsplit(url).netloc)
        accepted = time.monotonic() - began
        connections = open_connections()
        manage("healthkit_ingest_sweep")  # a message may have been too slow for its request
        done = wait_until(lambda: not unfinished(), timeout=SECONDS)
        stored = time.monotonic() - began

    report(phones, accepted=accepted, stored=stored, connections=connections)
    assert [phone.fault for phone in phones if phone.fault is not None] == []
    assert {phone.statuses[-1] for phone in phones} == {202}
    refused = Counter(status for phone in phones for status in phone.statuses)
    assert refused[429] > 0
    assert done, worker.log
    assert ImportBatch.objects.filter(status=Status.COMPLETED).count() == len(phones)
    rows = Counter(HealthSample.objects.values_list("user_id", "uuid"))
    assert rows == Counter((user_id, uuid) for user_id, uuids in sent.items() for uuid in uuids)
    assert connections <= gunicorn_conf.workers * gunicorn_conf.threads + WORKER_PROCESSES + 2


def wake(phones: list[Phone], *, address: str) -> None:
    """All at the same instant; back when each has been told that its data is there, or has failed."""
    start = threading.Barrier(len(phones))
    threads = [threading.Thread(target=phone.sync, args=[address, start]) for phone in phones]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def unfinished() -> bool:
    return ImportBatch.objects.exclude(status__in=FINAL).exists()


def open_connections() -> int:
    """Of all processes to this test's database, but for this one's."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])


def report(phones: list[Phone], *, accepted: float, stored: float, connections: int) -> None:
    statuses = Counter(status for phone in phones for status in phone.statuses)
    firsts = quantiles([phone.seconds[0] for phone in phones if phone.seconds], n=100)
    print(  # noqa: T201
        f"\n{len(phones)} bodies of {SAMPLES} samples from {USERS} users at once, to {gunicorn_conf.workers} x"
        f" {gunicorn_conf.threads} threads: first answer p50 {firsts[49]:.1f} s, p99 {firsts[98]:.1f} s;"
        f" {statuses[202]} x 202, {statuses[429]} x 429, {statuses[503]} x 503; all accepted after {accepted:.0f} s,"
        f" all stored after {stored:.0f} s; {connections} connections to the database"
    )
