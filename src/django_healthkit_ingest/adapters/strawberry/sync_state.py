"""What an app asks before it sends: from where it may resume, and what the server wants."""

from __future__ import annotations

from datetime import datetime

import strawberry

from django_healthkit_ingest.adapters.strawberry.answers import show
from django_healthkit_ingest.adapters.strawberry.door import Visitor
from django_healthkit_ingest.adapters.strawberry.scalars import BigInt
from django_healthkit_ingest.pipeline.accept import agree
from django_healthkit_ingest.pipeline.contract import contract
from django_healthkit_ingest.pipeline.sync_state import sync_state


@strawberry.type(description="One type of one installation. Without an anchor its query starts from the beginning.")
class HealthKitSyncState:
    type: str
    anchor: str | None = strawberry.field(description="Everything before it is stored.")
    released_at: datetime | None
    latest_sample: datetime | None = strawberry.field(description="Start of the latest one, whoever sent it.")


@strawberry.type(description="What the server wants an app to send next.")
class HealthKitContract:
    types: list[str] | None = strawberry.field(description="Null: everything but `withheld`.")
    start: datetime | None = strawberry.field(description="How far back; null: as far as there is anything.")
    records_per_request: int
    max_body_bytes: BigInt
    withheld: list[str] = strawberry.field(description="Types the user has switched off; they need not be sent.")


def read_sync_state(
    visitor: strawberry.Parent[Visitor], device: strawberry.ID | None = strawberry.UNSET
) -> list[HealthKitSyncState]:
    named = agree("device", visitor.device_id, device)
    return [show(HealthKitSyncState, row) for row in sync_state(user=visitor.user, device=named)]


def read_contract(
    visitor: strawberry.Parent[Visitor], device: strawberry.ID | None = strawberry.UNSET
) -> HealthKitContract:
    return show(HealthKitContract, contract(user=visitor.user, device=agree("device", visitor.device_id, device)))
