"""The limits as a client of the REST door meets them; how exact they are is ``test_limits``' matter."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from django_healthkit_ingest.models import ImportBatch, database
from django_healthkit_ingest.pipeline.devices import create_device
from django_healthkit_ingest.testing import healthkit_body
from django_healthkit_ingest.testing.payloads import quantity

pytestmark = pytest.mark.django_db(databases="__all__")

URL = "/health/imports/"
JSON = "application/json"


@pytest.fixture(autouse=True)
def no_broker(messages: Any) -> Any:
    return messages


@pytest.fixture
def limited(settings: Any) -> Any:
    def limit(**quotas: str) -> None:
        settings.HEALTHKIT_INGEST = {"RATE_LIMITS": quotas}

    return limit


def post(client: Client, body: bytes, **options: Any) -> Any:
    return client.post(URL, data=body, content_type=JSON, **options)


def is_limited(answer: Any, name: str) -> bool:
    if answer.status_code != 429:
        return False
    problem = answer.json()
    assert (problem["code"], problem["retry"]) == ("rate_limited", "LATER")
    assert int(answer.headers["Retry-After"]) >= 1
    assert f'"{name}";r=0' in answer.headers["RateLimit"]
    return True


def test_every_answer_tells_what_is_left(phone: Client, limited: Any) -> None:
    limited(requests="10/hour", bytes="100000/hour", records="50/hour")

    answer = post(phone, healthkit_body(quantity(), quantity()))

    assert '"requests";q=10;w=3600' in answer.headers["RateLimit-Policy"]
    assert '"requests";r=9' in answer.headers["RateLimit"]
    assert '"records";r=48' in answer.headers["RateLimit"]
    assert '"requests";r=8' in phone.get(URL).headers["RateLimit"]


def test_requests_of_any_kind_are_counted_and_others_go_on(
    phone: Client, sign_in: Any, other_user: Any, limited: Any
) -> None:
    limited(requests="3/day")
    for _ in range(3):
        assert phone.get(URL).status_code == 200

    assert is_limited(post(phone, healthkit_body(quantity())), "requests")
    assert not ImportBatch.objects.using(database()).exists()
    assert post(sign_in(other_user), healthkit_body(quantity())).status_code == 202


def test_bytes_are_counted_as_sent(phone: Client, limited: Any) -> None:
    limited(bytes="10/day")

    assert post(phone, healthkit_body(quantity())).status_code == 202, "more than there is, once"
    assert is_limited(post(phone, healthkit_body(quantity())), "bytes")


def test_records_are_counted_before_they_are_stored(phone: Client, limited: Any) -> None:
    limited(records="3/day")
    body = healthkit_body(*(quantity() for _ in range(5)))
    assert post(phone, body, headers={"Idempotency-Key": "one"}).status_code == 202

    assert is_limited(post(phone, body, headers={"Idempotency-Key": "two"}), "records")
    assert post(phone, body, headers={"Idempotency-Key": "one"}).status_code == 202, "a repeat brings no record"
    assert ImportBatch.objects.using(database()).count() == 1


def test_a_devices_own_limits(phone: Client, user: Any, limited: Any) -> None:
    limited(device_requests="2/day")
    tokens = [create_device(user=user, device_id=name).token for name in ("phone", "tablet")]
    one, other = (Client(headers={"Authorization": f"Bearer {token}"}) for token in tokens)

    answers = [one.get(URL) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert is_limited(answers[-1], "device_requests")
    assert other.get(URL).status_code == 200
    assert phone.get(URL).status_code == 200


def test_switched_off_there_is_nothing_to_tell(phone: Client, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"RATE_LIMITING_ENABLED": False, "RATE_LIMITS": {"requests": "1/day"}}

    answers = [phone.get(URL) for _ in range(3)]

    assert {answer.status_code for answer in answers} == {200}
    assert "RateLimit" not in answers[0].headers


@pytest.mark.parametrize(("choice", "status"), [("allow", 202), ("deny", 503)])
def test_a_cache_that_is_away_is_no_500(phone: Client, settings: Any, choice: str, status: int) -> None:
    settings.CACHES = {
        **settings.CACHES,
        "limits": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1"},
    }
    settings.HEALTHKIT_INGEST = {"RATE_LIMIT_CACHE": "limits", "RATE_LIMIT_ON_CACHE_FAILURE": choice}

    answer = post(phone, healthkit_body(quantity()))

    assert answer.status_code == status
    assert (answer.headers.get("Retry-After") is not None) == (status == 503)
