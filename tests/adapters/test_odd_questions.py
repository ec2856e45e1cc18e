"""Questions that no client of ours asks, and that somebody will: each is answered, and none by an error of ours."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import quantity

pytestmark = pytest.mark.django_db(databases="__all__")

HEART_RATE = "HKQuantityTypeIdentifierHeartRate"
PLACES = ["samples/", "statistics/"]


@pytest.fixture(autouse=True)
def there_is_something(user: Any) -> None:
    ingest(healthkit_body(quantity(HEART_RATE)), user=user)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["start", "end", "updated_since"])
@pytest.mark.parametrize(
    "moment",
    ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01T24:00:01Z", "\0", "2026-01-01T00:00:00"],
)
def test_what_is_no_instant_anywhere_is_refused(phone: Client, place: str, name: str, moment: str) -> None:
    answer = phone.get(f"/health/{place}", {"type": HEART_RATE, name: moment})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_query")
    assert name in answer.json()["detail"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["start", "end", "updated_since"])
@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-01-01T00:00:00+23:59:59.999999"]
)
def test_the_first_the_last_and_the_oddest_instants_are_understood(
    phone: Client, place: str, name: str, moment: str
) -> None:
    assert phone.get(f"/health/{place}", {"type": HEART_RATE, name: moment}).status_code == 200


def test_since_the_first_instant_is_everything(phone: Client) -> None:
    answer = phone.get("/health/samples/", {"type": HEART_RATE, "updated_since": "0001-01-01T00:00:00Z"})

    assert len(answer.json()["results"]) == 1


def test_more_parameters_than_django_reads_are_a_problem_too(phone: Client) -> None:
    answer = phone.get("/health/types/?" + "&".join(f"p{n}=" for n in range(2000)))

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_query")


@pytest.mark.parametrize("key", ["\0", "a\0b"])
def test_keys_that_no_database_can_keep_are_refused(phone: Client, messages: Any, key: str) -> None:
    answer = phone.post(
        "/health/imports/",
        data=healthkit_body(quantity()),
        content_type="application/json",
        headers={"Idempotency-Key": key},
    )

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_envelope")


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "QUERY", "PROPFIND", "FOO"])
@pytest.mark.parametrize("place", ["imports/", "types/", "uploads/x/"])
def test_unknown_methods_are_refused_with_the_known_ones(phone: Client, method: str, place: str) -> None:
    answer = phone.generic(method, f"/health/{place}")

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert method not in answer.headers["Allow"]
