"""A worker's connections to the database live from task to task, as long as CONN_MAX_AGE lets them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.fixups.django import DjangoWorkerFixup  # type: ignore[attr-defined]
from django.db import connections

from django_healthkit_ingest.models import ImportBatch, database
from django_healthkit_ingest.sqs.celery_settings import celery_settings
from django_healthkit_ingest.tasks import keep_good_connections, process_chunk

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


@pytest.fixture
def connection() -> Iterator[Any]:
    """Opened by an earlier task."""
    ours = connections[database()]
    ours.ensure_connection()
    yield ours
    ours.close()


def test_a_good_connection_is_kept(connection: Any) -> None:
    connection.close_at = None
    before = connection.connection

    keep_good_connections(sender=process_chunk)

    assert before is not None
    assert connection.connection is before


def test_one_that_is_too_old_is_closed(connection: Any) -> None:
    connection.close_at = time.monotonic() - 1

    keep_good_connections(sender=process_chunk)

    assert connection.connection is None


@pytest.mark.parametrize("checks", [True, False])
def test_one_that_broke_while_it_was_idle_costs_no_task_its_run(
    connection: Any, checks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("A file does not hang up.")
    monkeypatch.setitem(connection.settings_dict, "CONN_HEALTH_CHECKS", checks)
    connection.close_at, connection.health_check_enabled = None, checks
    other = connection.copy()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])
    other.close()

    keep_good_connections(sender=process_chunk)

    assert not ImportBatch.objects.using(database()).exists()


def test_celery_leaves_them_open() -> None:
    app = Celery("host", set_as_current=False)
    settings = celery_settings(queue_url="https://sqs.eu-west-1.amazonaws.com/1/apple-health-imports")
    app.config_from_object(type("Settings", (), settings), namespace="CELERY")

    assert DjangoWorkerFixup(app).db_reuse_max
