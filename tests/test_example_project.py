"""The example host takes everything from the environment and keeps no secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parent.parent
QUEUE_URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/apple-health-imports"
SHOW = """
import json
import example_project.settings as settings
print(json.dumps({
    "engine": settings.DATABASES["default"]["ENGINE"],
    "cache": settings.CACHES["default"]["BACKEND"],
    "broker": settings.CELERY_BROKER_URL,
    "debug": settings.DEBUG,
    "key": settings.SECRET_KEY,
}))
"""


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """With these variables and no other of ours or of Amazon's."""
    machine = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**machine, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def settings_with(**environment: str) -> dict[str, object]:
    done = python("-c", SHOW, CELERY_APPLE_HEALTH_QUEUE_URL=QUEUE_URL, **environment)
    assert done.returncode == 0, done.stderr
    shown: dict[str, object] = json.loads(done.stdout)
    return shown


def test_defaults_are_small_and_broker_is_sqs() -> None:
    shown = settings_with(DJANGO_SECRET_KEY="given")

    assert shown == {
        "engine": "django.db.backends.sqlite3",
        "cache": "django.core.cache.backends.locmem.LocMemCache",
        "broker": "sqs://",
        "debug": False,
        "key": "given",
    }


def test_the_environment_chooses() -> None:
    shown = settings_with(
        DJANGO_DEBUG="1",
        DATABASE_URL="postgres://localhost/health",
        REDIS_URL="redis://localhost/0",
        CELERY_BROKER_URL="memory://",
    )

    assert shown["engine"] == "django.db.backends.postgresql"
    assert shown["cache"] == "django_redis.cache.RedisCache"
    assert shown["broker"] == "memory://"
    assert shown["debug"] is True


def test_a_random_key_is_for_debugging_only() -> None:
    first, second = (settings_with(DJANGO_DEBUG="1")["key"] for _ in range(2))
    refused = python("-c", SHOW, CELERY_APPLE_HEALTH_QUEUE_URL=QUEUE_URL)

    assert first != second
    assert refused.returncode != 0
    assert "Set DJANGO_SECRET_KEY" in refused.stderr


def test_a_missing_queue_names_its_cure() -> None:
    refused = python("-c", SHOW, DJANGO_DEBUG="1")

    assert refused.returncode != 0
    assert "queue_url" in refused.stderr


def test_the_host_passes_its_own_checks(tmp_path: Path) -> None:
    done = python(
        "-m",
        "example_project.manage",
        "check",
        "--database",
        "default",
        "--fail-level",
        "WARNING",
        DJANGO_DEBUG="1",
        CELERY_APPLE_HEALTH_QUEUE_URL=QUEUE_URL,
        DATABASE_URL=f"sqlite:///{tmp_path / 'db.sqlite3'}",
    )

    assert done.returncode == 0, done.stdout + done.stderr
