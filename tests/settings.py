"""Django settings of the suite; ``tests/plugin.py`` sets the addresses in the environment."""

from __future__ import annotations

import copy
import os

import dj_database_url

SECRET_KEY = "only for tests"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "tests.urls"

# Without the plugin (mypy, makemigrations) nothing is ever connected to.
DATABASES = {"default": dj_database_url.parse(os.environ.get("DATABASE_URL", "sqlite://:memory:"))}
if "DATABASE_URL" in os.environ:
    # Environments that run side by side may share one server.
    environment = os.environ.get("TOX_ENV_NAME", "local").replace("-", "_")
    DATABASES["default"]["TEST"] = {"NAME": f"{DATABASES['default']['NAME']}_test_{environment}"}

CACHES = {
    "default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": os.environ["REDIS_URL"]}
    if "REDIS_URL" in os.environ
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "rest_framework",
    "rest_framework.authtoken",
    "django_healthkit_ingest",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.TokenAuthentication"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {"OAS_VERSION": "3.1.1", "TITLE": "Health data", "VERSION": "1"}
STATIC_URL = "static/"
# Users are made by the hundred and never log in with a password.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

if os.environ.get("HEALTHKIT_TEST_HOST") == "unusual":
    INSTALLED_APPS.append("tests.unusual.apps.UnusualConfig")
    AUTH_USER_MODEL = "unusual.User"
    DATABASE_ROUTERS = ["tests.unusual.models.HealthRouter"]
    DATABASES["health"] = copy.deepcopy(DATABASES["default"])
    if "DATABASE_URL" in os.environ:
        DATABASES["health"]["TEST"]["NAME"] += "_health"
    for each in DATABASES.values():
        each["ATOMIC_REQUESTS"] = True
