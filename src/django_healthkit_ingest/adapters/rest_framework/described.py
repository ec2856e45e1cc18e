"""``schema`` of our views: whoever writes an OpenAPI document is told what they do; nobody else pays for it."""

from __future__ import annotations

import sys
from typing import Any

from rest_framework.schemas import DefaultSchema


class DescribedSchema(DefaultSchema):
    """The class in the host's ``DEFAULT_SCHEMA_CLASS``, if it is drf-spectacular's: with our knowledge underneath.

    drf-spectacular itself is never imported by us first, so it need not be installed, and no process that serves
    requests and no document loads it.
    """

    def __get__(self, instance: Any, owner: Any) -> Any:
        schema = super().__get__(instance, owner)
        if instance in self.instance_schemas or "drf_spectacular.openapi" not in sys.modules:
            return schema
        from django_healthkit_ingest.adapters.rest_framework.openapi import described

        return described(schema)
