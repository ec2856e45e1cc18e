"""Receive Apple HealthKit data in any Django project."""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("django-healthkit-ingest")
