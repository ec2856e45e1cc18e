"""A PostgreSQL from the wheel, durable settings untouched, with the package's tables; it dies with this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from example_project.services.postgresql import postgresql


@contextmanager
def fresh_database() -> Iterator[None]:
    """Django is set up on it; fsync and synchronous_commit are PostgreSQL's defaults, and that is checked."""
    with postgresql(durable=True) as server:
        os.environ["DATABASE_URL"] = server.url
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
        import django
        from django.core.management import call_command
        from django.db import connection

        django.setup()
        call_command("migrate", verbosity=0)
        with connection.cursor() as cursor:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                cursor.execute(f"SHOW {setting}")
                if cursor.fetchone() != ("on",):
                    raise RuntimeError(f"{setting} is off: figures would flatter")
        yield
        connection.close()
