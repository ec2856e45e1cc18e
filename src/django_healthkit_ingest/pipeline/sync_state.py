"""Where an app installation may resume: the safe anchor of each type, and the latest sample that is committed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import OuterRef, Subquery

from django_healthkit_ingest.exceptions import InvalidQuery
from django_healthkit_ingest.models import HealthSample, SyncState, TypeIdentifier, database
from django_healthkit_ingest.pipeline.owned import owned


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeState:
    """One type. Without an anchor its query starts from the beginning, or, for clients that have none, from a date."""

    type: str
    anchor: str | None
    """The installation's own, as it sent it: everything before it is in the tables."""
    released_at: datetime | None
    latest_sample: datetime | None
    """Start of the user's latest sample of the type, whoever sent it. HealthKit gets older ones later, too: a client
    that resumes here must look back some days."""


def sync_state(*, user: Any, device: str | None) -> Sequence[TypeState]:
    """By identifier, every type that has either. Two queries. Raises InvalidQuery without a device."""
    if not device or "\0" in device:
        raise InvalidQuery("Name the installation whose anchors are asked for, as its requests do: its device id.")
    states = {state.type.identifier: state for state in owned(SyncState, user=user).of_device(device)}
    latest = _latest(user)
    return [
        _show(identifier, states.get(identifier), latest.get(identifier)) for identifier in sorted({*states, *latest})
    ]


def _latest(user: Any) -> dict[str, datetime]:
    """One look into the index of samples for each name there is."""
    samples = owned(HealthSample, user=user).select_related(None).filter(type=OuterRef("pk")).order_by("-start")
    types = TypeIdentifier.objects.using(database()).annotate(latest=Subquery(samples.values("start")[:1]))
    return dict(types.filter(latest__isnull=False).values_list("identifier", "latest"))


def _show(identifier: str, state: SyncState | None, latest: datetime | None) -> TypeState:
    return TypeState(
        type=identifier,
        anchor=state.anchor if state is not None else None,
        released_at=state.released_at if state is not None else None,
        latest_sample=latest,
    )
