from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from zlib import crc32

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import Client
from hypothesis import HealthCheck, settings
from rest_framework.authtoken.models import Token

from django_healthkit_ingest.pipeline.export import export_user
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import category, quantity, statistic

CONFIG = {
    "seed": 6,
    "generation": {"max-examples": 20, "deterministic": True, "mode": "all"},
    "phases": {"examples": {"enabled": False}, "coverage": {"enabled": True}},
    "output": {"truncation": {"enabled": False}},
}
PATIENT = settings(suppress_health_check=[*HealthCheck], deadline=None)
"""The rows are not made anew for each example, and need not be."""

DEVICE = "6F0C2E5A"
HEART_RATE = "HKQuantityTypeIdentifierHeartRate"


@pytest.fixture(autouse=True)
def one_connection() -> Iterator[None]:
    """As Django's own test client does: connecting again for every request takes longer than the request."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.fixture
def inhabited(user: Any, messages: Any, settings: Any) -> Any:
    """A user with something of everything, and their export; limits are on, and far away."""
    settings.ALLOWED_HOSTS = ["*"]
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"}}
    settings.HEALTHKIT_INGEST = {
        "RATE_LIMITS": dict.fromkeys(("requests", "bytes", "records", "device_requests"), "1000000000/hour"),
        "LONG_POLLS_AT_ONCE": 0,
    }
    body = healthkit_body(
        *(quantity(HEART_RATE, value=60 + n, source={"name": "Watch", "version": str(n)}) for n in range(5)),
        quantity(HEART_RATE, unit="kg"),
        category(),
        quantity("HKNew", value=None, unit=None, tree=[1]),
        statistics=[statistic()],
        anchors={HEART_RATE: "a1"},
        device={"id": DEVICE},
    )
    ingest(body, user=user)
    ingest(healthkit_body(quantity()), user=user, idempotency_key="known")
    return export_user(user=user)


@pytest.fixture
def credentials(user: Any) -> dict[str, str]:
    token, _ = Token.objects.get_or_create(user=user)
    return {"Authorization": f"Token {token.key}"}


@pytest.fixture
def existing(inhabited: Any, credentials: dict[str, str]) -> dict[str, str]:
    """By the names of the document's parameters."""
    phone = Client(headers=credentials)

    def first(place: str) -> str:
        return str(phone.get(f"/health/{place}").json()["results"][0]["id"])

    def made(place: str, key: str = "id") -> str:
        return str(phone.post(f"/health/{place}", data=b"{}", content_type="application/json").json()[key])

    order = b'{"allowed": false, "erase": true}'  # an erasure of everything would close the intake
    decision = phone.put("/health/consents/HKGone/", data=order, content_type="application/json").json()
    return {
        "batch_id": first("imports/"),
        "sample_id": first(f"samples/?type={HEART_RATE}"),
        "source_id": first("sources/"),
        "source": first("sources/"),
        "device": made("devices/"),
        "erasure_id": decision["erasure"]["id"],
        "export_id": str(inhabited.id),
        "token": made("uploads/", "upload"),
        "identifier": HEART_RATE,
        "type": HEART_RATE,
        "idempotency_key": "known",
        "time_zone": "Europe/Berlin",
        "lane": "BACKFILL",
    }


def often(value: object) -> bool:
    """Of half of all values, always of the same ones."""
    return bool(crc32(repr(value).encode(errors="replace")) % 2)
