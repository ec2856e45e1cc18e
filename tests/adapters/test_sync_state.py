from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from django_healthkit_ingest.models import database
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import quantity

pytestmark = pytest.mark.django_db(databases="__all__")

URL = "/health/sync-state/"
HEART_RATE = "HKQuantityTypeIdentifierHeartRate"
STEPS = "HKQuantityTypeIdentifierStepCount"


def test_safe_anchors_are_told(phone: Client, user: Any) -> None:
    body = healthkit_body(quantity(), anchors={STEPS: "b1", HEART_RATE: "a1"}, device={"id": "6F0C"})
    batch = ingest(body, user=user)

    answer = phone.get(URL, {"device": "6F0C"})

    told = answer.json()
    assert (answer.status_code, told["next"], told["previous"]) == (200, None, None)
    assert [(each["type"], each["anchor"]) for each in told["results"]] == [(HEART_RATE, "a1"), (STEPS, "b1")]
    assert all(each["released_at"].endswith("Z") for each in told["results"])
    assert phone.get(f"/health/imports/{batch.uuid}/").json()["anchors_released"] is True


def test_other_installations_and_users_are_apart(phone: Client, user: Any, other_user: Any) -> None:
    ingest(healthkit_body(anchors={HEART_RATE: "theirs"}, device={"id": "6F0C"}), user=other_user)
    ingest(healthkit_body(anchors={HEART_RATE: "tablet"}, device={"id": "tablet"}), user=user)

    assert phone.get(URL, {"device": "6F0C"}).json()["results"] == []


@pytest.mark.parametrize("query", [{}, {"device": ""}])
def test_the_installation_must_be_named(phone: Client, query: dict[str, str]) -> None:
    answer = phone.get(URL, query)

    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["retry"]) == (400, "invalid_query", "FIX")
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_nobody_reads_without_signing_in() -> None:
    assert Client().get(URL, {"device": "6F0C"}).status_code == 401


def test_reading_is_two_queries(phone: Client, user: Any, django_assert_max_num_queries: Any) -> None:
    ingest(healthkit_body(anchors={f"HKType{n}": "a" for n in range(50)}, device={"id": "6F0C"}), user=user)

    with django_assert_max_num_queries(3, using=database()):  # one may be the token's
        assert len(phone.get(URL, {"device": "6F0C"}).json()["results"]) == 50
