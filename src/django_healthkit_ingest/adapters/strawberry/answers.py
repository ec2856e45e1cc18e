"""From the pipeline's read models to the types of our schema, and from pages to connections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import strawberry

from django_healthkit_ingest.adapters.strawberry.scalars import instant
from django_healthkit_ingest.exceptions import NotFound
from django_healthkit_ingest.pipeline.pages import Page

Shape = TypeVar("Shape")
Node = TypeVar("Node")


@strawberry.type
class HealthKitPageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@strawberry.type
class Edge(Generic[Node]):
    node: Node
    cursor: str


@strawberry.type
class Connection(Generic[Node]):
    edges: list[Edge[Node]]
    page_info: HealthKitPageInfo


def part(first: int | None, after: str | None) -> dict[str, Any]:
    """Of a list; an explicit null never comes here (``Doorkeeper``)."""
    return {"cursor": after, "size": first}


def connect(page: Page[Any], nodes: Sequence[Node]) -> Connection[Node]:
    info = HealthKitPageInfo(
        has_next_page=page.next is not None,
        has_previous_page=page.previous is not None,
        start_cursor=page.cursors[0] if page.cursors else None,
        end_cursor=page.cursors[-1] if page.cursors else None,
    )
    edges = [Edge(node=node, cursor=cursor) for node, cursor in zip(nodes, page.cursors, strict=True)]
    return Connection(edges=edges, page_info=info)


def show(shape: type[Shape], told: Any, **others: Any) -> Shape:
    """``told``'s fields of the shape's names; ``others`` are those that differ."""
    names = (each.name for each in fields(shape) if each.init and each.name not in others)  # type: ignore[arg-type]
    return shape(**{name: _plain(_read(told, name)) for name in names}, **others)


def uuid_of(identifier: str) -> UUID:
    """What cannot be an id is nobody's. Raises NotFound."""
    try:
        return UUID(identifier)
    except ValueError:
        raise NotFound("There is no such thing of yours.") from None


def _read(told: Any, name: str) -> Any:
    return told[name] if isinstance(told, Mapping) else getattr(told, name)


def _plain(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return instant(value)
    return list(value) if isinstance(value, tuple) else value
