"""A host unlike the tutorial's: users with a UUID key, health data in a database of its own."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)

    class Meta:
        app_label = "unusual"


class HealthRouter:
    """The app's tables live on ``health`` and nothing else does."""

    def db_for_read(self, model: type[models.Model], **hints: Any) -> str | None:
        return "health" if model._meta.app_label == "healthkit_ingest" else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return (db == "health") == (app_label == "healthkit_ingest")
