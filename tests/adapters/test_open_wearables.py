"""The SDKs of open-wearables work against us unchanged."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import msgspec
import pytest
from django.test import Client

from django_healthkit_ingest.models import ImportBatch, database

pytestmark = pytest.mark.django_db(databases="__all__")


def body() -> bytes:
    record = {
        "id": str(uuid4()),
        "type": "HKQuantityTypeIdentifierHeartRate",
        "startDate": "2026-01-05T08:00:00Z",
        "endDate": "2026-01-05T08:00:00Z",
        "value": 61,
        "unit": "bpm",
        "source": {"appId": "com.apple.health"},
    }
    data = {"records": [record], "sleep": [], "workouts": []}
    return msgspec.json.encode(
        {"provider": "apple", "sdkVersion": "1.0.0", "syncTimestamp": "2026-01-05T08:01:00Z", "data": data}
    )


@pytest.mark.parametrize("path", ["sync", "sync/apple"])
def test_their_url_accepts_and_answers_as_they_expect(phone: Client, user: Any, messages: Any, path: str) -> None:
    answer = phone.post(f"/api/v1/sdk/users/{user.pk}/{path}", data=body(), content_type="application/json")

    batch = ImportBatch.objects.using(database()).get()
    assert answer.status_code == 202
    assert answer.json() == {"status_code": 202, "response": "accepted", "batch_id": str(batch.uuid)}
    assert (batch.format, batch.received, batch.user_id) == ("open_wearables", 1, user.pk)


def test_the_path_must_name_the_signed_in_user(phone: Client, other_user: Any) -> None:
    answer = phone.post(f"/api/v1/sdk/users/{other_user.pk}/sync", data=body(), content_type="application/json")

    assert (answer.status_code, answer.json()["retry"]) == (403, "AUTH")
    assert not ImportBatch.objects.using(database()).exists()


def test_another_body_is_refused_there(phone: Client, user: Any) -> None:
    answer = phone.post(f"/api/v1/sdk/users/{user.pk}/sync", data=b'{"samples": []}', content_type="application/json")

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_envelope")
