"""The example project with the baselines beside it: same middleware, same authentication, same connections."""

from __future__ import annotations

import os

from example_project import settings as example
from example_project.settings import *  # noqa: F403

INSTALLED_APPS = [*example.INSTALLED_APPS, "benchmarks.baselines"]
ROOT_URLCONF = "benchmarks.urls"
LOGGING = {**example.LOGGING, "loggers": {"django_healthkit_ingest": {"level": "WARNING"}}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
MEDIA_ROOT = os.environ.get("MEDIA_ROOT", "")
"""Where uploads lie until they are cut."""
