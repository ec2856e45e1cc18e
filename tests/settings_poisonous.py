"""For the children of tests, which read their settings from a module."""

from __future__ import annotations

from tests.settings import *  # noqa: F403

HEALTHKIT_INGEST = {"FORMATS": ["tests.poison.PoisonousFormat"]}
