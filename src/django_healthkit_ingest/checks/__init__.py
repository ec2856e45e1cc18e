"""System checks: what settings alone can show. None of them queries the database or the network."""

from __future__ import annotations

from django_healthkit_ingest.checks import database, delivery, deployment, host, limits, transport

__all__ = ["database", "delivery", "deployment", "host", "limits", "transport"]
