"""Whatever a host can name is in the reference, or this fails."""

from __future__ import annotations

import importlib.util
import re
import sys
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest
from celery import current_app
from django.core.management import get_commands
from django.dispatch import Signal

import django_healthkit_ingest
from django_healthkit_ingest import signals
from django_healthkit_ingest.conf import IngestSettings

DOCS = Path(__file__).parent.parent / "docs"
PACKAGE = Path(django_healthkit_ingest.__file__).parent
APP = "django_healthkit_ingest"


@pytest.fixture(scope="module")
def reference() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in sorted((DOCS / "reference").glob("*.md")))


@pytest.fixture(scope="module")
def documented() -> ModuleType:
    """What the pages of settings and signals are made from."""
    spec = importlib.util.spec_from_file_location("documented", DOCS / "_ext" / "documented.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["documented"] = module
    spec.loader.exec_module(module)
    return module


def check_ids() -> list[str]:
    sources = [module.read_text(encoding="utf-8") for module in (PACKAGE / "checks").glob("*.py")]
    return sorted(set(re.findall(r"healthkit_ingest\.[EW]\d{3}", "".join(sources))))


def command_names() -> list[str]:
    return sorted(name for name, app in get_commands().items() if app == APP)


def task_names() -> list[str]:
    current_app.loader.import_module(f"{APP}.tasks")
    return sorted(name for name in current_app.tasks if name.startswith("healthkit_ingest."))


def test_there_is_something_to_document() -> None:
    assert len(check_ids()) > 3
    assert "healthkit_ingest_sweep" in command_names()
    assert "healthkit_ingest.process_chunk" in task_names()


@pytest.mark.parametrize("check_id", check_ids())
def test_every_check_is_in_the_reference(check_id: str, reference: str) -> None:
    assert f"| `{check_id}` |" in reference


def test_every_command_and_task_is_in_the_reference(reference: str) -> None:
    missing = [name for name in (*command_names(), *task_names()) if f"`{name}`" not in reference]
    missing = [name for name in missing if f"`manage.py {name}" not in reference]

    assert not missing


def test_every_setting_is_documented_where_it_is_defined(documented: ModuleType) -> None:
    names = [item.name for item in documented.settings()]

    assert names == [field.name for field in fields(IngestSettings)]


def test_every_signal_is_documented_where_it_is_defined(documented: ModuleType) -> None:
    names = {item.name for item in documented.signals()}

    assert names == {name for name, value in vars(signals).items() if isinstance(value, Signal)}


def test_every_page_made_from_code_is_asked_for(reference: str) -> None:
    assert {"ingest-settings", "ingest-signals", "ingest-rejections"} <= set(
        re.findall(r"^```{([\w-]+)}", reference, re.MULTILINE)
    )
