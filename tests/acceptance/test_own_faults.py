"""What is away on our side is never the phone's fault: 503 and come back, or 202 if we can do without it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from rest_framework.authtoken.models import Token

from django_healthkit_ingest.models import ImportBatch
from django_healthkit_ingest.testing import healthkit_body
from django_healthkit_ingest.testing.payloads import quantity
from example_project.demo import host
from example_project.services.valkey import valkey
from tests.acceptance.raw import Answer, ask, head
from tests.acceptance.relay import Relay, relay

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]

FORM = b'--limit\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n%b\r\n--limit--\r\n'
LATER = (503, "unavailable", "LATER")


@pytest.fixture
def token(user: Any) -> str:
    return str(Token.objects.create(user=user).key)


def rerouted(url: str, *, port: int) -> str:
    address = urlsplit(url)
    return address._replace(netloc=f"{address.netloc.rpartition(':')[0]}:{port}").geturl()


@pytest.fixture
def database(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    """The way from the example project's processes to PostgreSQL; this process has its own."""
    url = environment["DATABASE_URL"]
    port = urlsplit(url).port
    if port is None:
        pytest.skip("the database of DATABASE_URL is on a socket, whose wire cannot be cut")
    with relay(port) as wire:
        monkeypatch.setenv("DATABASE_URL", rerouted(url, port=wire.port))
        yield wire


@pytest.fixture
def cache(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    with ExitStack() as stack:
        url = stack.enter_context(valkey()).url
        port = urlsplit(url).port
        assert port is not None
        wire = stack.enter_context(relay(port))
        monkeypatch.setenv("REDIS_URL", rerouted(url, port=wire.port))
        yield wire


def send(
    url: str,
    token: str,
    *,
    path: str = "/health/imports/",
    method: str = "POST",
    body: bytes | None = None,
    media_type: str = "application/json",
) -> Answer:
    content = healthkit_body(quantity()) if body is None else body
    answer = ask(
        url,
        head(f"Content-Type: {media_type}", f"Content-Length: {len(content)}", token=token, path=path, method=method),
        content,
    )
    assert answer is not None
    return answer


def told(answer: Answer) -> tuple[int, str, str]:
    assert int(answer.headers["Retry-After"]) > 0
    return answer.status, answer.problem["code"], answer.problem["retry"]


def test_the_database_is_away(database: Relay, token: str) -> None:
    with host.api() as url:
        before = send(url, token)
        with database.cut():
            away = [send(url, token) for _ in range(8)]
            asking = send(url, token, method="GET", body=b"")
        after = send(url, token)

    assert [told(answer) for answer in (*away, asking)] == [LATER] * 9
    assert (before.status, after.status) == (202, 202)
    assert ImportBatch.objects.count() == 2


@pytest.mark.parametrize("choice", ["allow", "deny"])
def test_the_cache_of_the_limits_is_away(
    choice: str, cache: Relay, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "TEST_HEALTHKIT_INGEST",
        json.dumps({"RATE_LIMIT_ON_CACHE_FAILURE": choice, "RATE_LIMITS": {"requests": "12/hour"}}),
    )
    with host.api() as url:
        before = [send(url, token) for _ in range(2)]
        with cache.cut():
            away = [send(url, token) for _ in range(20)]
        after = send(url, token)

    assert "RateLimit" in before[0].headers
    assert [answer.status for answer in (*before, after)] == [202] * 3
    if choice == "allow":
        assert [answer.status for answer in away] == [202] * 20
        assert not any("RateLimit" in answer.headers for answer in away)
    else:
        assert [told(answer) for answer in away] == [LATER] * 20


def test_the_storage_of_uploads_is_away(
    environment: dict[str, str], token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    media, elsewhere = tmp_path / "media", tmp_path / "elsewhere"
    media.mkdir()
    monkeypatch.setenv("TEST_MEDIA_ROOT", str(media))
    export = b"<HealthData/>"
    with host.api() as url:
        offer = json.loads(send(url, token, path="/health/uploads/", body=b"").body)
        path = urlsplit(offer["url"]).path
        media.rename(elsewhere)
        media.touch()  # where the folder was there is something that is none
        away = send(url, token, path=path, method="PUT", body=export)
        form = send(url, token, body=FORM % export, media_type="multipart/form-data; boundary=limit")
        media.unlink()
        elsewhere.rename(media)
        after = send(url, token, path=path, method="PUT", body=export)

    assert told(away) == told(form) == LATER
    assert after.status == 204
