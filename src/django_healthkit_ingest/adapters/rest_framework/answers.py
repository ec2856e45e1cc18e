"""Our read models with what only HTTP adds: URLs and pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from django.utils.http import urlencode
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from django_healthkit_ingest.pipeline.pages import Page
from django_healthkit_ingest.pipeline.status import BatchStatus

Row = TypeVar("Row")

URL = Annotated[str, msgspec.Meta(extra_json_schema={"format": "uri"})]


@dataclass(frozen=True, slots=True, kw_only=True)
class Import(BatchStatus):
    url: URL


@dataclass(frozen=True, slots=True, kw_only=True)
class Results(Generic[Row]):
    """A page. ``next`` and ``previous`` are URLs, or null."""

    results: list[Row]
    next: URL | None
    previous: URL | None


def import_url(status: BatchStatus, request: Request) -> str:
    return str(reverse("healthkit_ingest:import-detail", args=[status.id], request=request))


def show_import(status: BatchStatus, request: Request) -> dict[str, Any]:
    return {**msgspec.to_builtins(status), "url": import_url(status, request)}


def show_page(page: Page[Any], request: Request, *, rows: list[Any] | None = None) -> Response:
    return Response(
        {
            "results": page.rows if rows is None else rows,
            "next": _url(request, page.next),
            "previous": _url(request, page.previous),
        }
    )


def _url(request: Request, cursor: str | None) -> str | None:
    if cursor is None:
        return None
    chosen = request.query_params.copy()
    chosen["cursor"] = cursor
    return f"{request.build_absolute_uri(request.path)}?{urlencode(sorted(chosen.lists()), doseq=True)}"
