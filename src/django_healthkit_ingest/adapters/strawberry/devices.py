"""Tokens for single app installations. A device's own token does not open this."""

from __future__ import annotations

from datetime import datetime

import strawberry

from django_healthkit_ingest.adapters.strawberry.answers import Connection, connect, part, show, uuid_of
from django_healthkit_ingest.adapters.strawberry.door import Visitor
from django_healthkit_ingest.pipeline.devices import create_device, list_devices, revoke_device


@strawberry.type(description="One app installation that may import with a token of its own.")
class HealthKitDevice:
    id: strawberry.ID
    name: str = strawberry.field(description="The user's word for it.")
    device_id: str = strawberry.field(description="The installation's own id; its token then sends for no other.")
    created_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None


@strawberry.type
class HealthKitNewDevice:
    device: HealthKitDevice
    token: str = strawberry.field(description="Nobody can show it again.")


def read_devices(
    visitor: strawberry.Parent[Visitor], first: int | None = 100, after: str | None = strawberry.UNSET
) -> Connection[HealthKitDevice]:
    page = list_devices(user=visitor.user, **part(first, after))
    return connect(page, [show(HealthKitDevice, row) for row in page.rows])


def add_device(
    visitor: strawberry.Parent[Visitor], name: str | None = "", device_id: str | None = ""
) -> HealthKitNewDevice:
    new = create_device(user=visitor.user, name=name or "", device_id=device_id or "")
    return HealthKitNewDevice(device=show(HealthKitDevice, new.device), token=new.token)


def remove_device(visitor: strawberry.Parent[Visitor], id: strawberry.ID) -> bool:
    revoke_device(user=visitor.user, device=uuid_of(id))
    return True
