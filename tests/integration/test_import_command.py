from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from django_healthkit_ingest import queues
from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.management.commands import healthkit_ingest_import
from django_healthkit_ingest.models import HealthSample, ImportBatch, database
from django_healthkit_ingest.pipeline import split as split_module
from django_healthkit_ingest.pipeline.process import process
from tests.line_format import SETTING, lines

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

COMMAND = "healthkit_ingest_import"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def host(settings: Any, tmp_path: Path) -> None:
    settings.HEALTHKIT_INGEST = SETTING
    settings.MEDIA_ROOT = str(tmp_path / "media")


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "export.txt"
        path.write_bytes(content)
        return path

    return write


def test_without_here_the_workers_have_the_work(file: Callable[[bytes], Path], user: Any, messages: Any) -> None:
    out = io.StringIO()

    call_command(COMMAND, file(lines(3)), user=str(user.pk), json=True, stdout=out)

    shape = json.loads(out.getvalue())
    batch = ImportBatch.objects.using(database()).get()
    assert (shape["id"], shape["status"], shape["records"]["received"]) == (str(batch.uuid), "PENDING", None)
    assert (batch.user_id, batch.client) == (user.pk, {"name": COMMAND})
    assert [message.name for message in messages] == [queues.SPLIT_UPLOAD]


def test_here_sees_the_file_through(file: Callable[[bytes], Path], user: Any) -> None:
    out, err = io.StringIO(), io.StringIO()

    call_command(COMMAND, file(lines(5)), user=user.username, here=True, stdout=out, stderr=err)

    assert HealthSample.objects.for_user(user).count() == 5
    assert "COMPLETED" in out.getvalue()
    assert "inserted: 5" in out.getvalue()
    assert err.getvalue() == ""


def test_a_terminal_sees_the_bar(file: Callable[[bytes], Path], user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healthkit_ingest_import, "LOOK_EVERY", 0.0)
    monkeypatch.setattr(split_module, "STEP_SHARE_OF_LEASE", 0.0)
    err = Terminal()

    call_command(COMMAND, file(lines(6)), user=str(user.pk), here=True, stdout=io.StringIO(), stderr=err)

    shown = err.getvalue().split("\r")
    assert any("33% of the file read" in line.replace(" %", "%") for line in shown)
    assert f"[{'#' * 30}] 100% of the file read, 6 of 6 records done" in shown[-1]


def test_an_import_that_was_interrupted_here_goes_on(
    file: Callable[[bytes], Path], user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file(lines(6))
    monkeypatch.setattr(split_module, "STEP_SHARE_OF_LEASE", 0.0)
    seen: list[int] = []

    def interrupted(*, chunk_id: int, task_id: str) -> None:
        seen.append(chunk_id)
        if len(seen) == 2:
            raise KeyboardInterrupt
        process(chunk_id=chunk_id, task_id=task_id)

    with monkeypatch.context() as patch:
        patch.setattr(healthkit_ingest_import, "process", interrupted)
        with pytest.raises(KeyboardInterrupt):
            call_command(COMMAND, path, user=str(user.pk), here=True, idempotency_key="k")
    call_command(COMMAND, path, user=str(user.pk), here=True, idempotency_key="k", stdout=io.StringIO())

    batch = ImportBatch.objects.using(database()).get()
    assert (batch.status, batch.received, batch.inserted) == (Status.COMPLETED, 6, 6)


def test_a_failed_import_is_an_error(file: Callable[[bytes], Path], user: Any) -> None:
    with pytest.raises(CommandError, match="malformed_body"):
        call_command(COMMAND, file(b"!\n"), user=str(user.pk), here=True, stdout=io.StringIO())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"user": "nobody"}, "no such user"),
        ({"format": "fax"}, "unknown_format"),
        ({"time_zone": "Europe/Atlantis"}, "invalid_envelope"),
    ],
)
def test_what_cannot_be_is_said(
    options: dict[str, str], said: str, file: Callable[[bytes], Path], user: Any, messages: Any
) -> None:
    with pytest.raises(CommandError, match=said):
        call_command(COMMAND, file(lines(1)), **{"user": str(user.pk), **options})


def test_a_file_that_is_not_there_is_said(user: Any, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        call_command(COMMAND, tmp_path / "none.zip", user=str(user.pk))
