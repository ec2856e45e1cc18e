"""The host's choices, and what they name."""

from __future__ import annotations

from django_healthkit_ingest.conf.hooks import (
    canonical,
    find_format,
    get_consent,
    get_contract,
    get_format,
    get_formats,
    get_precedence,
    get_registry,
)
from django_healthkit_ingest.conf.settings import (
    MEASURES,
    QUOTA_NAMES,
    SETTING,
    SHIPPED_FORMATS,
    IngestSettings,
    get_settings,
)

__all__ = [
    "MEASURES",
    "QUOTA_NAMES",
    "SETTING",
    "SHIPPED_FORMATS",
    "IngestSettings",
    "canonical",
    "find_format",
    "get_consent",
    "get_contract",
    "get_format",
    "get_formats",
    "get_precedence",
    "get_registry",
    "get_settings",
]
