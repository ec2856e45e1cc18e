"""One test per check id; each plants the fault the check is there for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import connections

from django_healthkit_ingest.models import database

pytestmark = pytest.mark.django_db(databases="__all__")  # SQLite asks its library what it can do


def ours(**options: Any) -> set[str]:
    found = run_checks(databases=list(connections), **options)
    return {str(message.id) for message in found if str(message.id).startswith("healthkit_ingest.")}


def test_a_sound_host_is_silent() -> None:
    assert ours() == set()


def test_e001_settings_that_cannot_be_read(settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZ": 1}

    assert ours() == {"healthkit_ingest.E001"}


def test_w001_stale_after_within_a_lease(settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"STALE_AFTER": timedelta(seconds=200)}

    assert ours() == {"healthkit_ingest.W001"}


def test_e002_a_database_the_merge_does_not_speak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections[database()], "vendor", "oracle")

    assert "healthkit_ingest.E002" in ours(tags=["healthkit_ingest"])


def test_e003_psycopg_2(monkeypatch: pytest.MonkeyPatch) -> None:
    connection: Any = connections[database()]
    if connection.vendor != "postgresql":
        pytest.skip("the check is about PostgreSQL's driver; this environment runs on SQLite")

    class Psycopg2:
        __version__ = "2.9.10 (dt dec pq3 ext lo64)"

    monkeypatch.setattr(type(connection), "Database", Psycopg2)

    assert "healthkit_ingest.E003" in ours(tags=["healthkit_ingest"])


def test_w002_a_stricter_isolation_level(monkeypatch: pytest.MonkeyPatch) -> None:
    connection: Any = connections[database()]
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no isolation levels to choose from; this environment runs on SQLite")
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "isolation_level", 4)

    assert ours(tags=["healthkit_ingest"]) == {"healthkit_ingest.W002"}


def test_e004_local_times(settings: Any) -> None:
    settings.USE_TZ = False

    assert ours(tags=["healthkit_ingest"]) == {"healthkit_ingest.E004"}
