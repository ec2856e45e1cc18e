from __future__ import annotations

from django.apps import AppConfig


class UnusualConfig(AppConfig):
    name = "tests.unusual"
    label = "unusual"
    default_auto_field = "django.db.models.BigAutoField"
