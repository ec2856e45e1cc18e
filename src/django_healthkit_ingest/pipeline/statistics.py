"""Reading what a user's phone has aggregated itself; never mixed with samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django_healthkit_ingest.conf import canonical
from django_healthkit_ingest.exceptions import InvalidQuery
from django_healthkit_ingest.models import Statistic
from django_healthkit_ingest.pipeline.owned import owned
from django_healthkit_ingest.pipeline.pages import Page, read_page, scope_of
from django_healthkit_ingest.pipeline.samples import BY_START, filter_readings
from django_healthkit_ingest.pipeline.sources import SourceView, show_source


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticView:
    """One aggregate of one period. ``value`` is in ``unit``; activity summaries are whole in ``details``."""

    id: UUID
    type: str
    aggregation: str
    """``sum``, ``average``, ``minimum``, ``maximum``, ``most_recent``, ``duration``, ``count`` or ``whole``."""
    bucket: str
    """What tells it from others of its period: a sleep stage, a meal."""
    start: datetime
    end: datetime | None
    time_zone: str
    value: float | None
    unit: str
    details: Mapping[str, Any] | None
    source: SourceView | None


def list_statistics(
    *,
    user: Any,
    type: str,
    aggregation: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    source: UUID | None = None,
    updated_since: datetime | None = None,
    cursor: str | None = None,
    size: int = 500,
) -> Page[StatisticView]:
    """As ``samples.list_samples``; ``aggregation`` leaves out all others. Raises InvalidQuery."""
    if aggregation is not None and "\0" in aggregation:
        raise InvalidQuery("Remove the character U+0000 from 'aggregation'.")
    rows = filter_readings(
        owned(Statistic, user=user),
        user=user,
        type=type,
        start=start,
        end=end,
        source=source,
        updated_since=updated_since,
    )
    if aggregation is not None:
        rows = rows.aggregation(aggregation)
    scope = scope_of(
        "statistics",
        user=user,
        type=canonical(type),
        aggregation=aggregation,
        start=start,
        end=end,
        source=source,
        since=updated_since,
    )
    page = read_page(rows, order=BY_START, cursor=cursor, size=size, scope=scope)
    return page.of([_show(row) for row in page.rows])


def _show(row: Statistic) -> StatisticView:
    return StatisticView(
        id=row.key,
        type=row.identifier,
        aggregation=row.aggregation,
        bucket=row.bucket,
        start=row.start,
        end=row.end,
        time_zone=row.time_zone,
        value=row.value,
        unit=row.unit,
        details=row.details,
        source=show_source(row.source) if row.source is not None else None,
    )
