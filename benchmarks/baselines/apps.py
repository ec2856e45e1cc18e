from __future__ import annotations

from django.apps import AppConfig


class BaselinesConfig(AppConfig):
    name = "benchmarks.baselines"
    label = "baselines"
    default_auto_field = "django.db.models.BigAutoField"
