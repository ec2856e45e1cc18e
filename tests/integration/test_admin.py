from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from django_healthkit_ingest.models import HealthSample, ImportBatch, ImportChunk, database
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import quantity

pytestmark = pytest.mark.django_db(databases="__all__")

PAGES = ("importbatch", "importchunk", "rejectedsample")


@pytest.fixture
def operator(user_factory: Callable[..., Any]) -> Client:
    client = Client()
    client.force_login(user_factory(is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def batch(user: Any) -> ImportBatch:
    return ingest(healthkit_body(quantity(), quantity(unit="kg")), user=user)


@pytest.mark.parametrize("page", PAGES)
def test_lists_show_what_is_there_and_never_read_samples_or_payloads(
    operator: Client, batch: ImportBatch, page: str
) -> None:
    with CaptureQueriesContext(connections[database()]) as captured:
        answer = operator.get(f"/admin/healthkit_ingest/{page}/")

    assert answer.status_code == 200
    assert b"1 " in answer.content
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
    chunk = ImportChunk.objects.using(database()).get()
    pk = {"importbatch": batch.pk, "importchunk": chunk.pk, "rejectedsample": chunk.rejections.get().pk}[page]

    assert operator.get(f"/admin/healthkit_ingest/{page}/{pk}/change/").status_code == 200
    assert operator.post(f"/admin/healthkit_ingest/{page}/{pk}/change/", {}).status_code == 403
    assert operator.post(f"/admin/healthkit_ingest/{page}/{pk}/delete/", {"post": "yes"}).status_code == 403
    assert operator.get(f"/admin/healthkit_ingest/{page}/add/").status_code == 403
