from __future__ import annotations

from django.db import models

from django_healthkit_ingest.core.states import Pausable


class Switch(models.Model):
    """A part of the pipeline that somebody has paused, and when; no row: it runs."""

    name = models.CharField(primary_key=True, max_length=16, choices=[(part.value, part.value) for part in Pausable])
    since = models.DateTimeField()

    class Meta:
        verbose_name_plural = "switches"

    def __str__(self) -> str:
        return f"{self.name} is paused"
