from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_healthkit_ingest.models import Consent, Erasure, Export, HealthSample, ImportBatch, database
from django_healthkit_ingest.pipeline.devices import create_device
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.factories import ImportUploadFactory, SyncStateFactory
from django_healthkit_ingest.testing.payloads import quantity

pytestmark = pytest.mark.django_db(databases="__all__")

SECRETS = (b"upload-of-somebody", b"c2VjcmV0IGFuY2hvcg==", b"reader", b"Ada&#x27;s iPhone", b"secret-place")
PAGES = (
    "consent",
    "devicetoken",
    "erasure",
    "export",
    "importbatch",
    "importchunk",
    "importupload",
    "rejectedsample",
    "syncstate",
)


@pytest.fixture
def operator(user_factory: Callable[..., Any]) -> Client:
    client = Client()
    client.force_login(user_factory(is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def batch(user: Any) -> ImportBatch:
    batch = ingest(healthkit_body(quantity(), quantity(unit="kg")), user=user)
    ImportUploadFactory.create(batch=batch, name="upload-of-somebody.zip", position={"reader": "here"})
    SyncStateFactory.create(user=user, batch=batch, anchor="c2VjcmV0IGFuY2hvcg==")
    mine = {"user_id": user.pk, "changed_at": timezone.now()}
    Consent.objects.using(database()).create(identifier="com.acme.mood", allowed=False, **mine)
    create_device(user=user, name="Ada's iPhone")
    for model in (Erasure, Export):
        ordered = {"user_id": user.pk, "created_at": timezone.now(), "position": {"after": "secret-place"}}
        model._default_manager.using(database()).create(**ordered)
    return batch


@pytest.mark.parametrize("page", PAGES)
def test_lists_show_what_is_there_and_never_read_samples_or_payloads(
    operator: Client, batch: ImportBatch, page: str
) -> None:
    with CaptureQueriesContext(connections[database()]) as captured:
        answer = operator.get(f"/admin/healthkit_ingest/{page}/")

    assert answer.status_code == 200
    assert b"1 " in answer.content
    assert not any(secret in answer.content for secret in SECRETS)
    queries = " ".join(query["sql"] for query in captured.captured_queries)
    assert HealthSample._meta.db_table not in queries
    assert '"payload"' not in queries


@pytest.mark.parametrize(
    ("page", "query", "expected"),
    [
        ("importbatch", "status__exact=COMPLETED", True),
        ("importbatch", "status__exact=FAILED", False),
        ("importbatch", "age=minutes", True),
        ("importbatch", "age=older", False),
        ("importchunk", "age=hour", True),
        ("importchunk", "age=older", False),
        ("rejectedsample", "age=day", True),
        ("rejectedsample", "age=older", False),
        ("rejectedsample", "code=unit_mismatch", True),
        ("consent", "allowed__exact=0", True),
        ("consent", "allowed__exact=1", False),
        ("importupload", "age=hour", True),
        ("erasure", "status__exact=PENDING", True),
        ("export", "age=older", False),
        ("importupload", "error_code=malformed_body", False),
    ],
)
def test_lists_are_filtered_by_state_and_age(
    operator: Client, batch: ImportBatch, page: str, query: str, expected: bool
) -> None:
    answer = operator.get(f"/admin/healthkit_ingest/{page}/?{query}")

    assert answer.status_code == 200
    assert bool(answer.context["cl"].result_list) is expected


@pytest.mark.parametrize("page", PAGES)
def test_nothing_can_be_changed(operator: Client, batch: ImportBatch, page: str) -> None:
    pk = apps.get_model("healthkit_ingest", page)._base_manager.using(database()).get().pk

    shown = operator.get(f"/admin/healthkit_ingest/{page}/{pk}/change/")
    assert shown.status_code == 200
    assert not any(secret in shown.content for secret in SECRETS)
    assert operator.post(f"/admin/healthkit_ingest/{page}/{pk}/change/", {}).status_code == 403
    assert operator.post(f"/admin/healthkit_ingest/{page}/{pk}/delete/", {"post": "yes"}).status_code == 403
    assert operator.get(f"/admin/healthkit_ingest/{page}/add/").status_code == 403
