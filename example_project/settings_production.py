"""The same host as it runs on ECS behind a load balancer; ``check --deploy`` has nothing to say about it."""

from __future__ import annotations

import os
import socket
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from example_project.settings import *  # noqa: F403
from example_project.settings import ALLOWED_HOSTS as HOSTS
from example_project.settings import BASE_DIR, DEBUG, MIDDLEWARE
from example_project.settings import HEALTHKIT_INGEST as INGEST


def required(name: str) -> str:
    if value := os.environ.get(name):
        return value
    raise ImproperlyConfigured(f"Set {name}: in production there is no default for it.")


if DEBUG:
    raise ImproperlyConfigured("DJANGO_DEBUG is set: it answers errors with a page of settings and local values.")

for name in ("DATABASE_URL", "REDIS_URL", "DJANGO_ALLOWED_HOSTS"):
    required(name)


def own_addresses() -> list[str]:
    """The load balancer's health check names the task's address and not the site's as the host."""
    name = socket.gethostname()
    try:
        return [name, socket.gethostbyname(name)]
    except OSError:  # a container without a network asks itself nothing
        return [name]


ALLOWED_HOSTS = [*HOSTS, *own_addresses()]

MIDDLEWARE = [
    MIDDLEWARE[0],
    "whitenoise.middleware.WhiteNoiseMiddleware",
    *MIDDLEWARE[1:],
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
STATIC_ROOT = BASE_DIR / "static"

# The load balancer speaks TLS with the world and says so; the health check comes without it.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = True
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz)$"]
SECURE_HSTS_SECONDS = 365 * 86400
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True

# Uploads are written by an api task and read by a worker on another machine.
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    "uploads": {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": required("UPLOAD_BUCKET"),
            "region_name": os.environ.get("AWS_REGION"),  # boto3 reads another variable
            "default_acl": None,
        },
    },
}

HEALTHKIT_INGEST = {**INGEST, "UPLOAD_STORAGE": "uploads"}

# One JSON object a line; CloudWatch makes metrics of those that hold some.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "django_healthkit_ingest.sqs.metrics.EMFFormatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {"botocore": {"level": "WARNING"}},  # it says where each of its keys came from
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False  # else Celery's own format would replace it
