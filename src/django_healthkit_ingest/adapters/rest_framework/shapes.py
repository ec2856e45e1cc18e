"""Our read models as the JSON of the contract."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rest_framework.request import Request
from rest_framework.reverse import reverse

from django_healthkit_ingest.models import RejectedSample
from django_healthkit_ingest.pipeline.status import BatchStatus


def import_url(status: BatchStatus, request: Request) -> str:
    return str(reverse("healthkit_ingest:import-detail", args=[status.id], request=request))


def import_shape(status: BatchStatus, request: Request) -> dict[str, Any]:
    shape = asdict(status)
    error_code = shape.pop("error_code")
    return {
        **shape,
        "id": str(status.id),
        "url": import_url(status, request),
        "created_at": instant(status.created_at),
        "finished_at": instant(status.finished_at),
        "error": {"code": error_code} if error_code else None,
    }


def rejection_shape(rejection: RejectedSample) -> dict[str, Any]:
    return {
        "chunk": rejection.chunk.index,
        "section": rejection.chunk.section,
        "index": rejection.index,
        "field": rejection.field,
        "code": rejection.code,
        "detail": rejection.detail,
    }


def instant(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC, with ``Z``."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None
