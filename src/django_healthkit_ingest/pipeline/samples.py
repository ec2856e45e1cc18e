"""Reading a user's samples: one type at a time, by start, in pages that stay put while data arrives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.db.models import Q, TextField
from django.db.models.functions import Cast

from django_healthkit_ingest.conf import canonical, get_registry
from django_healthkit_ingest.core.encodings import decompress
from django_healthkit_ingest.core.states import FINAL
from django_healthkit_ingest.exceptions import InvalidQuery, NotFound
from django_healthkit_ingest.models import HealthSample, ImportBatch, SampleSeries, Source, TypeIdentifier, database
from django_healthkit_ingest.pipeline.handles import seal, seal_each, unseal
from django_healthkit_ingest.pipeline.owned import owned
from django_healthkit_ingest.pipeline.pages import Order, Page, read_page, scope_of
from django_healthkit_ingest.pipeline.sources import SourceView, show_source

BY_START = Order(field="start")

CLOCKS = timedelta(minutes=1)
"""How far the clocks of our own machines, and of the client that asks, may be apart."""

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""Nothing was imported before; a client that wants everything may ask since year 1, before which there is no minute."""


_SHOWN = (
    *("pk", "uuid", "start", "end", "time_zone", "value", "raw_unit", "category", "source_id"),
    # As text: msgspec reads it in a fifth of the time that Django's field takes.
    *(Cast(name, TextField()) for name in ("metadata", "details")),
)


class SampleView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One sample. ``value`` is in ``unit``, the type's canonical one unless the type is unknown."""

    id: str
    """Ours, opaque, of this row: a sample without uuid that is replaced by its twin with one gets another."""
    uuid: UUID | None
    """HealthKit's own."""
    type: str
    start: datetime
    end: datetime
    time_zone: str
    """IANA name or ``+01:00``; empty where none is known."""
    value: float | None
    unit: str
    category: int | None
    category_name: str | None
    """Of a known type's category, as Apple names it."""
    metadata: Mapping[str, Any] | None
    details: Mapping[str, Any] | None
    """The whole record, of types that do not fit the columns and of unknown ones."""
    source: SourceView | None


def list_samples(
    *,
    user: Any,
    type: str,
    start: datetime | None = None,
    end: datetime | None = None,
    source: UUID | None = None,
    updated_since: datetime | None = None,
    cursor: str | None = None,
    size: int = 500,
) -> Page[SampleView]:
    """Samples of one type, by identifier or alias, that start in ``[start, end)``, by start.

    ``updated_since``: only what imports brought that have finished since, or are not finished yet. It may name a sample
    again that was there before; it never leaves one out. Rows that went are not named: ``samples_changed`` tells hosts.
    Raises InvalidQuery.
    """
    rows = filter_readings(
        owned(HealthSample, user=user),
        user=user,
        type=type,
        start=start,
        end=end,
        source=source,
        updated_since=updated_since,
    )
    scope = scope_of(
        "samples", user=user, type=canonical(type), start=start, end=end, source=source, since=updated_since
    )
    page = read_page(rows.values_list(*_SHOWN, named=True), order=BY_START, cursor=cursor, size=size, scope=scope)
    return page.of(_show_all(page.rows, user=user, identifier=canonical(type)))


def filter_readings(
    rows: Any,
    *,
    user: Any,
    type: str,
    start: datetime | None,
    end: datetime | None,
    source: UUID | None,
    updated_since: datetime | None,
) -> Any:
    """Of samples or statistics. The type is looked up first: with its key the index gives the order, too.

    Raises InvalidQuery.
    """
    if not type or "\0" in type:
        raise InvalidQuery("Name the type that is asked for: 'type', as a HealthKit identifier.")
    for name, moment in (("start", start), ("end", end), ("updated_since", updated_since)):
        if moment is not None and moment.tzinfo is None:
            raise InvalidQuery(f"{name!r} needs a UTC offset: an instant such as 2026-01-01T08:00:00Z.")
    using = database()
    type_id = TypeIdentifier.objects.using(using).filter(identifier=canonical(type)).values_list("pk", flat=True)
    rows = rows.filter(type_id=type_id.first() or 0).between(start, end)
    if source is not None:
        mine = owned(Source, user=user).filter(key=source).values_list("pk", flat=True)
        rows = rows.filter(source_id=mine.first() or 0)
    if updated_since is not None:
        since = max(updated_since, BEGINNING) - CLOCKS
        recent = Q(finished_at__gte=since) | ~Q(status__in=FINAL)
        rows = rows.filter(batch_id__in=owned(ImportBatch, user=user).filter(recent).values("pk"))
    return rows


def get_sample(*, user: Any, sample_id: str) -> SampleView:
    """Raises NotFound."""
    return show_sample(find_sample(user=user, sample_id=sample_id))


def find_sample(*, user: Any, sample_id: str) -> HealthSample:
    """Raises NotFound, also for an id that was another user's."""
    numbers = unseal(sample_id, scope=_scope(user.pk))
    row = owned(HealthSample, user=user).filter(pk=numbers[0]).first() if numbers is not None else None
    if row is None:
        raise NotFound("There is no such sample of yours.")
    return row


def get_series(*, user: Any, sample_id: str) -> Mapping[str, Any]:
    """The sample's voltages, locations or beats, by name; each an array in the words of the dialect that brought it.

    Raises NotFound for the sample; one without series has none.
    """
    row = find_sample(user=user, sample_id=sample_id)
    keys = [key for key in (row.uuid, row.fingerprint) if key is not None]
    found = SampleSeries.objects.using(database()).filter(user_id=user.pk, sample_key__in=keys).order_by("rank")
    return {each.name: msgspec.json.decode(decompress(bytes(each.payload))) for each in found}


def show_sample(row: HealthSample) -> SampleView:
    known = get_registry().get(row.identifier)
    names = known.category_values if known is not None else {}
    return SampleView(
        id=seal(row.pk, scope=_scope(row.user_id)),
        uuid=row.uuid,
        type=row.identifier,
        start=row.start,
        end=row.end,
        time_zone=row.time_zone,
        value=row.value,
        unit=row.unit,
        category=row.category,
        category_name=names.get(row.category) if row.category is not None else None,
        metadata=row.metadata,
        details=row.details,
        source=show_source(row.source) if row.source is not None else None,
    )


def _show_all(rows: Sequence[Any], *, user: Any, identifier: str) -> list[SampleView]:
    """What ``show_sample`` makes of models, of a list's columns: most of a list's time went into making models."""
    known = get_registry().get(identifier)
    unit, names = (known.canonical_unit, known.category_values) if known is not None else ("", {})
    sources = _sources_of(rows, user=user)
    ids = seal_each((row.pk for row in rows), scope=_scope(user.pk))
    read_json = msgspec.json.decode
    return [
        SampleView(
            id=sealed,
            uuid=uuid,
            type=identifier,
            start=start,
            end=end,
            time_zone=time_zone,
            value=value,
            unit=raw_unit or unit,
            category=category,
            category_name=names.get(category) if category is not None else None,
            metadata=read_json(metadata) if metadata is not None else None,
            details=read_json(details) if details is not None else None,
            source=sources.get(source_id),
        )
        for sealed, (_, uuid, start, end, time_zone, value, raw_unit, category, source_id, metadata, details) in zip(
            ids, rows, strict=True
        )
    ]


def _sources_of(rows: Iterable[Any], *, user: Any) -> Mapping[int | None, SourceView]:
    """By key: many rows share few sources, which come in a query of their own."""
    keys = {row.source_id for row in rows} - {None}
    return {each.pk: show_source(each) for each in owned(Source, user=user).filter(pk__in=keys)} if keys else {}


def _scope(user_id: Any) -> str:
    return f"sample:{user_id}"
