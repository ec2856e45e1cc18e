"""A host whose own keys are of another size: our migrations must not notice."""

from __future__ import annotations

from tests.settings import *  # noqa: F403

DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
