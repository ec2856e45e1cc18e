"""A user's word on their data: which types are kept, and all of it gone or taken along."""

from __future__ import annotations

from datetime import datetime

import strawberry
from strawberry.scalars import JSON

from django_healthkit_ingest.adapters.strawberry.answers import show, uuid_of
from django_healthkit_ingest.adapters.strawberry.door import Visitor
from django_healthkit_ingest.adapters.strawberry.enums import HealthKitOrderStatus
from django_healthkit_ingest.adapters.strawberry.scalars import BigInt
from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.pipeline.consent import list_consents
from django_healthkit_ingest.pipeline.decide import decide
from django_healthkit_ingest.pipeline.erase import ErasureStatus, get_erasure, order_erasure
from django_healthkit_ingest.pipeline.export import ExportStatus, get_export, order_export


@strawberry.type(description="The receipt of an erasure, also while it is still going on.")
class HealthKitErasure:
    id: strawberry.ID
    status: HealthKitOrderStatus
    identifiers: list[str] | None = strawberry.field(description="The types; null: everything.")
    created_at: datetime
    finished_at: datetime | None
    counts: JSON = strawberry.field(description="What is gone so far, by kind.")
    error_code: str | None


@strawberry.type(description="A copy of all that is stored of the user.")
class HealthKitExport:
    id: strawberry.ID
    status: HealthKitOrderStatus
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None
    size: BigInt = strawberry.field(description="Bytes written so far.")
    counts: JSON = strawberry.field(description="Rows in the file, by kind.")
    error_code: str | None
    file: str | None = strawberry.field(
        description="Where it can be fetched, gzip-compressed JSON lines; null until it can."
    )


@strawberry.type(description="What the user has decided on one type; all others are allowed.")
class HealthKitConsent:
    identifier: str
    allowed: bool
    changed_at: datetime | None = strawberry.field(description="Null while the app's own settings decide.")
    erasure: HealthKitErasure | None = strawberry.field(description="Of what was stored, where it was just asked for.")


def read_consents(visitor: strawberry.Parent[Visitor]) -> list[HealthKitConsent]:
    return [show(HealthKitConsent, row, erasure=None) for row in list_consents(user=visitor.user)]


def set_consent(
    visitor: strawberry.Parent[Visitor], *, type: str, allowed: bool, erase: bool | None = False
) -> HealthKitConsent:
    decision = decide(user=visitor.user, identifier=type, allowed=allowed, erase=bool(erase))
    erasure = _show_erasure(decision.erasure) if decision.erasure is not None else None
    return show(HealthKitConsent, decision, erasure=erasure)


def erase(visitor: strawberry.Parent[Visitor]) -> HealthKitErasure:
    return _show_erasure(order_erasure(user_id=visitor.user.pk))


def read_erasure(visitor: strawberry.Parent[Visitor], id: strawberry.ID) -> HealthKitErasure | None:
    return _show_erasure(get_erasure(user=visitor.user, erasure_id=uuid_of(id)))


def export(visitor: strawberry.Parent[Visitor]) -> HealthKitExport:
    return _show_export(order_export(user=visitor.user), visitor=visitor)


def read_export(visitor: strawberry.Parent[Visitor], id: strawberry.ID) -> HealthKitExport | None:
    return _show_export(get_export(user=visitor.user, export_id=uuid_of(id)), visitor=visitor)


def _show_erasure(told: ErasureStatus) -> HealthKitErasure:
    return show(HealthKitErasure, told, status=HealthKitOrderStatus(told.status.value))


def _show_export(told: ExportStatus, *, visitor: Visitor) -> HealthKitExport:
    file = visitor.url("export-file", told.id) if told.status == Status.COMPLETED else None
    return show(HealthKitExport, told, status=HealthKitOrderStatus(told.status.value), file=file)
