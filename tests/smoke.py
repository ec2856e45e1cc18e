"""One import from body to row, as installed: no test runner, no extras, SQLite. Exits non-zero if anything is amiss."""

from __future__ import annotations

import sys
from importlib.resources import files

import django
from django.conf import settings
from django.core.management import call_command


def main() -> None:
    settings.configure(
        USE_TZ=True,
        SECRET_KEY="only for tests",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django_healthkit_ingest"],
    )
    django.setup()
    call_command("check", fail_level="WARNING")
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
    call_command("migrate", verbosity=0)

    from django.contrib.auth.models import User

    from django_healthkit_ingest.models import HealthSample
    from django_healthkit_ingest.testing import healthkit_body, ingest
    from django_healthkit_ingest.testing.payloads import quantity

    batch = ingest(healthkit_body(quantity(value=61)), user=User.objects.create_user("phone"))
    values = list(HealthSample.objects.values_list("value", flat=True))
    package = files("django_healthkit_ingest")

    assert (batch.status, batch.inserted) == ("COMPLETED", 1), "the import did not finish"
    assert len(values) == 1, "the sample is not there"
    assert package.joinpath("py.typed").is_file(), "py.typed is not in the package"
    print(f"smoke: PASS with Django {django.get_version()}, Python {sys.version.split()[0]}, {package}")


if __name__ == "__main__":
    main()
