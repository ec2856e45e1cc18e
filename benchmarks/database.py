"""A PostgreSQL from the wheel, durable and of a usual size, with the package's tables; it dies with this process."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django
from django.core.management import call_command

from example_project.services.postgresql import postgresql

SETTINGS = "benchmarks.settings"
SIZE = {"shared_buffers": "1GB", "max_wal_size": "4GB"}
"""Of a server with 4 GB. PostgreSQL's own defaults are an eighth and a quarter of it."""
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")


@contextmanager
def fresh_database() -> Iterator[None]:
    """Django is set up on it; nothing of a queue is there."""
    with postgresql(durable=True, settings=SIZE) as server:
        os.environ.update(DATABASE_URL=server.url, CELERY_BROKER_URL="memory://")
        set_up()
        yield
        from django.db import connections

        connections.close_all()


@contextmanager
def fresh_file() -> Iterator[None]:
    """The same on SQLite, in a temporary folder, with SQLite's own (durable) defaults."""
    with tempfile.TemporaryDirectory(prefix="healthkit-bench-") as folder:
        file = Path(folder) / "bench.sqlite3"
        os.environ.update(DATABASE_URL=f"sqlite:///{file.as_posix()}", CELERY_BROKER_URL="memory://")
        set_up()
        yield
        from django.db import connections

        connections.close_all()


def set_up() -> None:
    """Django and the processes started from here on use the database of the environment, migrated, known durable."""
    os.environ["DJANGO_SETTINGS_MODULE"] = SETTINGS
    os.environ.setdefault("DJANGO_SECRET_KEY", secrets.token_urlsafe(32))
    os.environ.setdefault("DJANGO_ALLOWED_HOSTS", "127.0.0.1")
    django.setup()
    call_command("migrate", verbosity=0)
    call_command("migrate", run_syncdb=True, verbosity=0)  # the baselines have no migrations, and point to the users
    check_durable()


def check_durable() -> None:
    """Raises RuntimeError if the server would flatter."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        for setting in DURABLE:
            cursor.execute(f"SHOW {setting}")
            if cursor.fetchone() != ("on",):
                raise RuntimeError(f"{setting} is off: figures would flatter")
