from __future__ import annotations

import gzip
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from django_healthkit_ingest.core.states import Pausable
from django_healthkit_ingest.models import Erasure, Export, HealthSample, database
from django_healthkit_ingest.pipeline.erase import order_erasure
from django_healthkit_ingest.pipeline.switches import pause
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import category, quantity
from tests.integration.everything import FLOW, HEART_RATE, give_everything, left_of

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture(autouse=True)
def host(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = str(tmp_path / "media")


def run(name: str, *arguments: Any) -> str:
    told = StringIO()
    call_command(f"healthkit_ingest_{name}", *map(str, arguments), stdout=told)
    return told.getvalue()


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("builtins.input", lambda prompt: text)


@pytest.mark.parametrize("by", ["pk", "username"])
def test_erase_takes_everything_and_prints_the_receipt(user: Any, messages: Any, by: str) -> None:
    give_everything(user)
    messages.clear()
    pause(Pausable.PROCESSING)

    receipt = json.loads(run("erase", "--user", getattr(user, by), "--yes", "--json"))

    row = Erasure.objects.using(database()).get(uuid=receipt["id"])
    assert (receipt["status"], receipt["identifiers"], receipt["counts"]) == ("COMPLETED", None, row.counts)
    assert receipt["finished_at"]
    assert "HealthSample" not in left_of(user.pk)
    assert not messages, "it is done here, and no worker is asked"


def test_erase_takes_one_type(user: Any) -> None:
    ingest(healthkit_body(quantity(), category()), user=user)

    text = run("erase", "--user", user.pk, "--type", "HEART_RATE", "--yes")

    rows = HealthSample.objects.using(database()).for_user(user)
    assert [row.identifier for row in rows] == [FLOW]
    assert "COMPLETED\n  records: 1\n  samples: 1" in text


def test_erase_asks_first(user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest(healthkit_body(quantity()), user=user)
    rows = HealthSample.objects.using(database()).for_user(user)

    answer(monkeypatch, "n")
    with pytest.raises(CommandError, match="Nothing was erased"):
        run("erase", "--user", user.pk)
    with pytest.raises(CommandError, match="--yes"):
        run("erase", "--user", user.pk, "--json")
    assert rows.exists()

    answer(monkeypatch, "y")
    run("erase", "--user", user.pk)
    assert not rows.exists()


@pytest.mark.parametrize("name", ["HKQuantityTypeIdentifierHartRate", "x" * 200, ""])
def test_erase_refuses_a_type_that_is_misspelt(user: Any, name: str) -> None:
    with pytest.raises(CommandError, match="type"):
        run("erase", "--user", user.pk, "--type", HEART_RATE, "--type", name, "--yes")

    assert not Erasure.objects.using(database()).exists()


def test_erase_takes_what_is_left_of_a_user_who_is_deleted(user: Any, messages: Any) -> None:
    give_everything(user)
    user_id = user.pk
    type(user)._base_manager.filter(pk=user_id)._raw_delete(type(user)._base_manager.db)

    run("erase", "--user", user_id, "--yes")

    assert set(left_of(user_id)) == {"Erasure"}


@pytest.mark.parametrize("command", [("erase", "--yes"), ("export", "--output", "x")])
def test_nobody_is_no_user(command: tuple[str, ...]) -> None:
    name, *options = command

    with pytest.raises(CommandError, match="no such user"):
        run(name, "--user", "nobody", *options)


def test_export_writes_the_file_for_nobody_else(user: Any, tmp_path: Path, messages: Any) -> None:
    give_everything(user)
    messages.clear()
    pause(Pausable.PROCESSING)
    output = tmp_path / "anna.jsonl.gz"

    told = json.loads(run("export", "--user", user.pk, "--output", output, "--json"))

    lines = [json.loads(line) for line in gzip.decompress(output.read_bytes()).splitlines()]
    assert told["counts"]["samples"] == HealthSample.objects.using(database()).for_user(user).count()
    assert lines[-1] == {"kind": "end", "counts": told["counts"]}
    assert (told["status"], told["size"]) == ("COMPLETED", output.stat().st_size)
    assert output.stat().st_mode & 0o777 == 0o600
    assert not messages


def test_export_overwrites_nothing(user: Any, tmp_path: Path) -> None:
    output = tmp_path / "there"
    output.write_text("precious")

    with pytest.raises(CommandError, match="cannot be"):
        run("export", "--user", user.pk, "--output", output)

    assert output.read_text() == "precious"


def test_export_waits_for_an_erasure(user: Any, tmp_path: Path, messages: Any) -> None:
    order_erasure(user_id=user.pk)

    with pytest.raises(CommandError, match="unavailable"):
        run("export", "--user", user.pk, "--output", tmp_path / "x")

    assert not Export.objects.using(database()).exists()
