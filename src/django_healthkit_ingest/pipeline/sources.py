"""Who recorded a user's samples, and whom the user trusts more where two recorded the same time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from django_healthkit_ingest.core.precedence import MAX_PRECEDENCE
from django_healthkit_ingest.exceptions import InvalidQuery, NotFound
from django_healthkit_ingest.models import Source, database
from django_healthkit_ingest.pipeline.owned import owned
from django_healthkit_ingest.pipeline.pages import Order, Page, read_page, scope_of


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceView:
    """``HKSourceRevision`` with its ``HKDevice``: one for each app, version and device that ever recorded."""

    id: UUID
    name: str
    bundle_id: str
    product_type: str
    version: str
    system_version: str
    device: Mapping[str, Any] | None
    precedence: int
    """1 is trusted the most."""


def show_source(row: Source) -> SourceView:
    return SourceView(
        id=row.key,
        name=row.name,
        bundle_id=row.bundle_id,
        product_type=row.product_type,
        version=row.version,
        system_version=row.system_version,
        device=row.device,
        precedence=row.precedence,
    )


def list_sources(*, user: Any, cursor: str | None = None, size: int = 100) -> Page[SourceView]:
    """In the order they were first seen. Raises InvalidQuery."""
    scope = scope_of("sources", user=user)
    page = read_page(owned(Source, user=user), order=Order(), cursor=cursor, size=size, scope=scope)
    return page.of([show_source(row) for row in page.rows])


def set_precedence(*, user: Any, source_id: UUID, precedence: int) -> SourceView:
    """Of the source and of all others of the same recorder, whatever their version; new versions of it inherit it.

    Raises NotFound, InvalidQuery for anything but 1 to 32767.
    """
    if not 1 <= precedence <= MAX_PRECEDENCE:
        raise InvalidQuery(f"'precedence' must be a whole number from 1 to {MAX_PRECEDENCE}.")
    mine = owned(Source, user=user)
    with transaction.atomic(using=database()):
        source = mine.filter(key=source_id).first()
        if source is None:
            raise NotFound("There is no such source of yours.")
        mine.of_recorder(source).update(precedence=precedence)
    source.precedence = precedence
    return show_source(source)
