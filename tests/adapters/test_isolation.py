"""Every endpoint and every id, asked for by another user, by nobody and by a device that was revoked.

The walk takes its paths from the URL configuration: an endpoint that is added later is walked, or the test fails.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.test import Client
from django.urls import reverse

from django_healthkit_ingest import models
from django_healthkit_ingest.adapters.rest_framework import urls
from django_healthkit_ingest.pipeline.accept import accept
from django_healthkit_ingest.pipeline.consent import list_consents
from django_healthkit_ingest.pipeline.decide import decide
from django_healthkit_ingest.pipeline.devices import create_device, revoke_device
from django_healthkit_ingest.pipeline.erase import order_erasure
from django_healthkit_ingest.pipeline.export import order_export
from django_healthkit_ingest.pipeline.offer import offer_upload
from django_healthkit_ingest.pipeline.samples import list_samples
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.factories import SourceFactory, StatisticFactory
from django_healthkit_ingest.testing.payloads import quantity

pytestmark = pytest.mark.django_db(databases="__all__")

JSON = "application/json"
HEART_RATE = "HKQuantityTypeIdentifierHeartRate"
DEVICE = "6F0C"
SECRET = "Adas-secret-watch"

METHODS = ("get", "post", "put", "patch", "delete")
BODIES: dict[str, dict[str, Any]] = {
    "source-detail": {"precedence": 9},
    "consent-detail": {"allowed": True},
}
ASKED_WITH = {
    "sync-state": {"device": DEVICE},
    "sample-list": {"type": HEART_RATE},
    "statistic-list": {"type": "HKQuantityTypeIdentifierStepCount"},
}


@pytest.fixture(autouse=True)
def no_broker(messages: Any) -> Any:
    return messages


@pytest.fixture
def victim(user: Any) -> dict[str, dict[str, Any]]:
    """One user with something of everything; the arguments that name it, by URL name."""
    source = SourceFactory.create(user=user, name=SECRET)
    StatisticFactory.create(user=user, source=source)
    body = healthkit_body(
        quantity(source={"name": SECRET}),
        quantity(unit="kg"),
        device={"id": DEVICE},
        anchors={HEART_RATE: SECRET},
    )
    batch = ingest(body, user=user, idempotency_key=SECRET)
    open_batch = accept(healthkit_body(quantity()), user=user)
    (sample,) = list_samples(user=user, type=HEART_RATE).rows
    decide(user=user, identifier="HKCategoryTypeIdentifierMenstrualFlow", allowed=False)
    imports = {"batch_id": batch.uuid}
    return {
        "import-detail": imports,
        "import-rejected": imports,
        "import-retry": imports,
        "import-cancel": {"batch_id": open_batch.uuid},
        "upload-detail": {"token": offer_upload(user=user).token},
        "sample-detail": {"sample_id": sample.id},
        "sample-series": {"sample_id": sample.id},
        "source-detail": {"source_id": source.key},
        "device-detail": {"device": create_device(user=user, name=SECRET).device.id},
        "export-detail": {"export_id": (export := order_export(user=user)).id},
        "export-file": {"export_id": export.id},
        "erasure-detail": {
            "erasure_id": order_erasure(user_id=user.pk, identifiers=["HKCategoryTypeIdentifierMenstrualFlow"]).id
        },
        "import-format": {"format_name": "healthkit"},
        "consent-detail": {"identifier": "HKCategoryTypeIdentifierMenstrualFlow"},
    }


OWNED_BY_ID = (
    "import-detail",
    "import-rejected",
    "import-retry",
    "import-cancel",
    "upload-detail",
    "sample-detail",
    "sample-series",
    "source-detail",
    "device-detail",
    "export-detail",
    "export-file",
    "erasure-detail",
)
OF_THE_ONE_WHO_ASKS = (
    "import-list",
    "import-format",
    "upload-list",
    "sample-list",
    "statistic-list",
    "type-list",
    "source-list",
    "sync-state",
    "contract",
    "consent-list",
    "consent-detail",
    "erasure-list",
    "export-list",
    "device-list",
)


def every_view() -> list[tuple[str, str]]:
    return [
        (str(pattern.name), method)
        for pattern in urls.urlpatterns
        for method in METHODS
        if hasattr(pattern.callback.cls, method)
        and method in pattern.callback.initkwargs.get("http_method_names", METHODS)
    ]


def ask(client: Client, name: str, method: str, arguments: dict[str, Any]) -> Any:
    url = reverse(f"healthkit_ingest:{name}", kwargs=arguments)
    if method == "get":
        return client.get(url, ASKED_WITH.get(name, {}))
    if name in ("import-list", "import-format"):
        return client.post(url, data=healthkit_body(), content_type=JSON)
    body = json.dumps(BODIES.get(name, {})) if method != "delete" else ""
    return getattr(client, method)(url, data=body, content_type=JSON)


def state_of(user: Any) -> dict[str, Any]:
    """Every row that is the user's, whatever the table."""
    using = models.database()
    return {
        model.__name__: sorted(map(str, model._default_manager.using(using).filter(user_id=user.pk).values()))
        for model in apps.get_app_config("healthkit_ingest").get_models()
        if any(field.name == "user" for field in model._meta.get_fields())
    }


def test_the_walk_knows_every_endpoint() -> None:
    assert sorted({name for name, _ in every_view()}) == sorted([*OWNED_BY_ID, *OF_THE_ONE_WHO_ASKS])


@pytest.mark.parametrize(("name", "method"), [(n, m) for n, m in every_view() if n in OWNED_BY_ID])
def test_somebody_elses_does_not_exist(
    sign_in: Any, user: Any, other_user: Any, victim: dict[str, Any], name: str, method: str
) -> None:
    before = state_of(user)

    answer = ask(sign_in(other_user), name, method, victim[name])

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert SECRET not in answer.content.decode()
    assert state_of(user) == before


@pytest.mark.parametrize(("name", "method"), [(n, m) for n, m in every_view() if n in OF_THE_ONE_WHO_ASKS])
def test_lists_are_of_the_one_who_asks(
    sign_in: Any, user: Any, other_user: Any, victim: dict[str, Any], name: str, method: str
) -> None:
    before = state_of(user)

    answer = ask(sign_in(other_user), name, method, victim.get(name, {}))

    assert answer.status_code < 300, answer.content
    assert SECRET not in answer.content.decode()
    if name not in ("type-list", "contract") and method == "get":
        assert answer.json()["results"] == []
    assert state_of(user) == before


@pytest.mark.parametrize("who", ["nobody", "revoked", "made up"])
@pytest.mark.parametrize(("name", "method"), every_view())
def test_who_is_not_signed_in_reaches_nothing(
    user: Any, victim: dict[str, Any], name: str, method: str, who: str
) -> None:
    new = create_device(user=user)
    revoke_device(user=user, device=new.device.id)
    headers: dict[str, Callable[[], dict[str, str]]] = {
        "nobody": dict,
        "revoked": lambda: {"Authorization": f"Bearer {new.token}"},
        "made up": lambda: {"Authorization": "Bearer hki_" + "x" * 43},
    }
    before = state_of(user)

    answer = ask(Client(headers=headers[who]()), name, method, victim.get(name, {}))

    assert (answer.status_code, answer.json()["code"], answer.json()["retry"]) == (401, "unauthenticated", "AUTH")
    assert SECRET not in answer.content.decode()
    assert state_of(user) == before


def test_the_owner_reaches_all_of_it(sign_in: Any, user: Any, victim: dict[str, Any]) -> None:
    """Else the walk would prove nothing: the same requests, by the right user."""
    mine = sign_in(user)
    for name in ("import-detail", "import-rejected", "sample-detail", "sample-series", "export-detail"):
        assert ask(mine, name, "get", victim[name]).status_code == 200, name
    assert SECRET in ask(mine, "source-list", "get", {}).content.decode()
    assert SECRET in ask(mine, "sync-state", "get", {}).content.decode()
    assert list_consents(user=user)
