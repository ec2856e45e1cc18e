"""What is stored: samples, statistics, their types and their sources."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import strawberry
from strawberry.scalars import JSON

from django_healthkit_ingest.adapters.strawberry.answers import Connection, connect, part, show, uuid_of
from django_healthkit_ingest.adapters.strawberry.door import Visitor
from django_healthkit_ingest.exceptions import InvalidQuery, NotFound
from django_healthkit_ingest.pipeline.catalogue import list_types
from django_healthkit_ingest.pipeline.forget import forget_sample
from django_healthkit_ingest.pipeline.samples import SampleView, get_sample, get_series, list_samples
from django_healthkit_ingest.pipeline.sources import SourceView, list_sources, set_precedence
from django_healthkit_ingest.pipeline.statistics import StatisticView, list_statistics


@strawberry.type(description="One app, version and device that recorded: HKSourceRevision and HKDevice.")
class HealthKitSource:
    id: strawberry.ID
    name: str
    bundle_id: str
    product_type: str
    version: str
    system_version: str
    device: JSON | None
    precedence: int = strawberry.field(description="1 is trusted the most.")
    cursor: str | None = strawberry.field(description="Of the list of sources: `after` it come the next ones.")


@strawberry.type(description="`value` is in `unit`, the type's canonical one unless the type is unknown.")
class HealthKitSample:
    id: strawberry.ID = strawberry.field(description="Ours, opaque.")
    uuid: strawberry.ID | None = strawberry.field(description="HealthKit's own.")
    type: str
    start: datetime
    end: datetime
    time_zone: str = strawberry.field(description="IANA name or `+01:00`; empty where none is known.")
    value: float | None
    unit: str
    category: int | None
    category_name: str | None
    metadata: JSON | None
    details: JSON | None = strawberry.field(description="The whole record, where it does not fit the other fields.")
    source: HealthKitSource | None


@strawberry.type(description="One aggregate of one period, as the phone calculated it.")
class HealthKitStatistic:
    id: strawberry.ID
    type: str
    aggregation: str
    bucket: str = strawberry.field(description="What tells it from others of its period: a sleep stage, a meal.")
    start: datetime
    end: datetime | None
    time_zone: str
    value: float | None
    unit: str
    details: JSON | None
    source: HealthKitSource | None


@strawberry.type(description="One type of the catalogue.")
class HealthKitType:
    identifier: str
    kind: str | None
    unit: str = strawberry.field(description="What values are stored in; empty where there are none.")
    ucum: str
    loinc: str
    aggregation: str
    group: str
    introduced_ios: str
    aliases: list[str]
    categories: JSON = strawberry.field(description="Names of the category values, by their number.")


def read_samples(
    visitor: strawberry.Parent[Visitor],
    type: str,
    start: datetime | None = strawberry.UNSET,
    end: datetime | None = strawberry.UNSET,
    source: strawberry.ID | None = strawberry.UNSET,
    updated_since: datetime | None = strawberry.UNSET,
    first: int | None = 500,
    after: str | None = strawberry.UNSET,
) -> Connection[HealthKitSample]:
    page = list_samples(
        user=visitor.user,
        type=type,
        start=_moment("start", start),
        end=_moment("end", end),
        source=_source_id(source),
        updated_since=_moment("updated_since", updated_since),
        **part(first, after),
    )
    return connect(page, [_show_sample(row) for row in page.rows])


def read_sample(visitor: strawberry.Parent[Visitor], id: strawberry.ID) -> HealthKitSample | None:
    return _show_sample(get_sample(user=visitor.user, sample_id=id))


def read_series(visitor: strawberry.Parent[Visitor], id: strawberry.ID) -> JSON | None:
    return JSON(get_series(user=visitor.user, sample_id=id))


def delete_sample(visitor: strawberry.Parent[Visitor], id: strawberry.ID) -> bool:
    forget_sample(user=visitor.user, sample_id=id)
    return True


def read_statistics(
    visitor: strawberry.Parent[Visitor],
    type: str,
    aggregation: str | None = strawberry.UNSET,
    start: datetime | None = strawberry.UNSET,
    end: datetime | None = strawberry.UNSET,
    source: strawberry.ID | None = strawberry.UNSET,
    updated_since: datetime | None = strawberry.UNSET,
    first: int | None = 500,
    after: str | None = strawberry.UNSET,
) -> Connection[HealthKitStatistic]:
    page = list_statistics(
        user=visitor.user,
        type=type,
        aggregation=aggregation,
        start=_moment("start", start),
        end=_moment("end", end),
        source=_source_id(source),
        updated_since=_moment("updated_since", updated_since),
        **part(first, after),
    )
    return connect(page, [_show_statistic(row) for row in page.rows])


def read_types(visitor: strawberry.Parent[Visitor]) -> list[HealthKitType]:
    return [show(HealthKitType, each) for each in list_types()]


def read_sources(
    visitor: strawberry.Parent[Visitor], first: int | None = 1000, after: str | None = strawberry.UNSET
) -> list[HealthKitSource]:
    page = list_sources(user=visitor.user, **part(first, after))
    return [show(HealthKitSource, row, cursor=cursor) for row, cursor in zip(page.rows, page.cursors, strict=True)]


def order_precedence(visitor: strawberry.Parent[Visitor], id: strawberry.ID, precedence: int) -> HealthKitSource:
    told = set_precedence(user=visitor.user, source_id=uuid_of(id), precedence=precedence)
    return show(HealthKitSource, told, cursor=None)


def _moment(name: str, moment: datetime | None) -> datetime | None:
    """A naive one is the pipeline's to refuse. Raises InvalidQuery."""
    try:
        return moment.astimezone(UTC) if moment is not None and moment.tzinfo is not None else moment
    except OverflowError:
        raise InvalidQuery(f"{name!r} must be an instant of the years 1 to 9999.") from None


def _source_id(identifier: str | None) -> Any:
    """Raises InvalidQuery."""
    try:
        return uuid_of(identifier) if identifier is not None else None
    except NotFound:
        raise InvalidQuery("'source' must be a UUID.") from None


def _show_sample(told: SampleView) -> HealthKitSample:
    return show(HealthKitSample, told, source=_show_source(told.source))


def _show_statistic(told: StatisticView) -> HealthKitStatistic:
    return show(HealthKitStatistic, told, source=_show_source(told.source))


def _show_source(told: SourceView | None) -> HealthKitSource | None:
    return show(HealthKitSource, told, cursor=None) if told is not None else None
