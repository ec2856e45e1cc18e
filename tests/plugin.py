"""Starts what the suite needs before Django's settings are read.

Loaded with ``-p`` in pyproject.toml and not from conftest.py: pytest-django reads the settings first, and they read the
addresses from the environment. HEALTHKIT_TEST_DATABASE chooses ``postgresql`` (default) or ``sqlite``.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from example_project.services.together import start_services
from tests.network import stay_on_this_machine

DATABASES = ("postgresql", "sqlite")
SERVICES = pytest.StashKey[ExitStack]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    """A wrapper, so that it runs before pytest-django's own hook, which asks to be first as well."""
    # Tests without Django (``-p no:django``) are tests without services, and pytest then knows no setting of
    # pytest-django's: so the settings module is named here and not in pyproject.toml.
    if not early_config.pluginmanager.is_blocked("django"):
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
        early_config.stash[SERVICES] = start(os.environ.get("HEALTHKIT_TEST_DATABASE", DATABASES[0]))
        stay_on_this_machine()
    return (yield)


def start(database: str) -> ExitStack:
    if database not in DATABASES:
        raise pytest.UsageError(f"HEALTHKIT_TEST_DATABASE must be one of {', '.join(DATABASES)}.")
    with ExitStack() as stack:
        services = stack.enter_context(start_services(with_postgres=database == "postgresql"))
        os.environ.update(services.environment())
        if database == "sqlite":
            # A file and not memory: real workers open it too.
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="healthkit-sqlite-"))
            os.environ["DATABASE_URL"] = f"sqlite:///{Path(folder, 'tests.sqlite3')}"
        return stack.pop_all()


def pytest_unconfigure(config: pytest.Config) -> None:
    if (stack := config.stash.get(SERVICES, None)) is not None:
        stack.close()
