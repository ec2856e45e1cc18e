"""The one place where what the doors read is narrowed to its user; import-linter keeps the doors away from models."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from django.db import models

from django_healthkit_ingest.models import (
    Consent,
    DeviceToken,
    Erasure,
    Export,
    HealthSample,
    ImportBatch,
    Source,
    Statistic,
    SyncState,
    database,
)
from django_healthkit_ingest.querysets import (
    ConsentQuerySet,
    DeviceTokenQuerySet,
    ErasureQuerySet,
    ExportQuerySet,
    HealthSampleQuerySet,
    ImportBatchQuerySet,
    OwnedQuerySet,
    SourceQuerySet,
    StatisticQuerySet,
    SyncStateQuerySet,
)

_Model = TypeVar("_Model", bound=models.Model)


@overload
def owned(model: type[Consent], *, user: Any) -> ConsentQuerySet: ...
@overload
def owned(model: type[DeviceToken], *, user: Any) -> DeviceTokenQuerySet: ...
@overload
def owned(model: type[Erasure], *, user: Any) -> ErasureQuerySet: ...
@overload
def owned(model: type[Export], *, user: Any) -> ExportQuerySet: ...
@overload
def owned(model: type[HealthSample], *, user: Any) -> HealthSampleQuerySet: ...
@overload
def owned(model: type[ImportBatch], *, user: Any) -> ImportBatchQuerySet: ...
@overload
def owned(model: type[Source], *, user: Any) -> SourceQuerySet: ...
@overload
def owned(model: type[Statistic], *, user: Any) -> StatisticQuerySet: ...
@overload
def owned(model: type[SyncState], *, user: Any) -> SyncStateQuerySet: ...
def owned(model: type[_Model], *, user: Any) -> OwnedQuerySet[Any]:
    """This user's rows of a model, and no others. Raises ValueError for nobody: an unsaved or anonymous user."""
    if getattr(user, "pk", None) is None:
        raise ValueError("Only a stored user has rows.")
    rows = model._default_manager.using(database())
    assert isinstance(rows, OwnedQuerySet)
    return rows.for_user(user)
