from __future__ import annotations

import os
import time
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import InterfaceError, OperationalError, connections
from django.db.migrations.recorder import MigrationRecorder

from django_healthkit_ingest.core.states import Pausable
from django_healthkit_ingest.models import database
from django_healthkit_ingest.pipeline import readiness
from django_healthkit_ingest.pipeline.switches import pause, resume

needs_database = pytest.mark.django_db(databases="__all__")


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has just started."""
    monkeypatch.setattr(readiness, "_migrated", set())


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> list[type[Exception]]:
    """The database answers with the error that is put in here."""
    errors: list[type[Exception]] = [OperationalError]

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise errors[0]("host=10.0.0.1 user=anna")

    for alias in connections:
        monkeypatch.setattr(connections[alias], "ensure_connection", refuse)
        monkeypatch.setattr(connections[alias], "cursor", refuse)
    return errors


def test_a_process_that_answers_is_healthy_whatever_the_database_does(client: Any, broken: Any) -> None:
    answer = client.get("/healthz")

    assert (answer.status_code, answer.content) == (200, b"ok")
    assert "no-store" in answer["Cache-Control"]


@needs_database
def test_a_host_in_order_is_ready(client: Any, django_assert_num_queries: Any) -> None:
    answer = client.get("/readyz")

    assert (answer.status_code, answer.content) == (200, b"ok")
    with django_assert_num_queries(1, using=database()):
        assert client.head("/readyz").status_code == 200


@needs_database
@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_without_a_database_nothing_is_ready_and_nothing_is_told(
    client: Any, broken: list[type[Exception]], error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    broken[0] = error

    answer = client.get("/readyz")

    assert (answer.status_code, answer.content) == (503, b"database")
    assert error.__name__ in caplog.text
    assert "anna" not in caplog.text


@needs_database
def test_code_is_not_ready_before_its_migrations(client: Any) -> None:
    recorder = MigrationRecorder(connections[database()])
    newest = recorder.migration_qs.filter(app="healthkit_ingest").latest("pk")
    recorder.record_unapplied(newest.app, newest.name)

    before = client.get("/readyz")
    recorder.record_applied(newest.app, newest.name)
    after = client.get("/readyz")

    assert (before.status_code, before.content) == (503, b"migrations")
    assert after.status_code == 200


@needs_database
def test_only_a_pause_of_intake_makes_the_api_unready(client: Any) -> None:
    answers = []
    for part in Pausable:
        pause(part)
        answers.append((client.get("/readyz").status_code, client.get("/readyz").content))
        resume(part)

    assert dict(zip(Pausable, answers, strict=True)) == {
        Pausable.PROCESSING: (200, b"ok"),
        Pausable.INTAKE: (503, b"paused"),
    }


@needs_database
def test_it_is_only_for_reading(client: Any) -> None:
    assert client.post("/healthz").status_code == client.post("/readyz").status_code == 405


@pytest.mark.parametrize(("age", "code"), [(5, None), (500, 1), (None, 1)])
def test_the_command_checks_the_worker_of_this_container(
    tmp_path: Any, settings: Any, capsys: pytest.CaptureFixture[str], age: int | None, code: int | None
) -> None:
    file = tmp_path / "heartbeat"
    settings.HEALTHKIT_INGEST = {"HEARTBEAT_FILE": file}
    if age is not None:
        file.touch()
        os.utime(file, (time.time() - age,) * 2)

    if code is None:
        call_command("healthkit_ingest_health", "--json")
    else:
        with pytest.raises(SystemExit) as stopped:
            call_command("healthkit_ingest_health", "--json")
        assert stopped.value.code == code

    assert f'"healthy": {str(code is None).lower()}' in capsys.readouterr().out


def test_the_command_says_that_there_is_no_heartbeat(settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"HEARTBEAT_FILE": ""}

    with pytest.raises(CommandError, match="HEARTBEAT_FILE"):
        call_command("healthkit_ingest_health")
