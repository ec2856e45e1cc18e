"""The OpenAPI document of the REST door: ``python -m tests.openapi_document > docs/reference/openapi.yaml``."""

from __future__ import annotations

import os
import sys

import django
from django.urls import include, path

URLS = "django_healthkit_ingest.adapters.rest_framework.urls"


def write() -> str:
    """As a host's ``manage.py spectacular`` does."""
    from drf_spectacular.generators import SchemaGenerator
    from drf_spectacular.renderers import OpenApiYamlRenderer

    document = SchemaGenerator(patterns=[path("health/", include(URLS))]).get_schema(public=True)
    text: bytes = OpenApiYamlRenderer().render(document, renderer_context={})
    return text.decode()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    sys.stdout.write(write())
