"""Tokens for single app installations, of hosts that have no credentials for them: they may import, and no more.

A token is 256 random bits; we keep its SHA-256, which is enough for something nobody can guess, and fast enough for
every request. It is shown once.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.utils import timezone

from django_healthkit_ingest.exceptions import InvalidQuery, NotFound, Unauthenticated
from django_healthkit_ingest.models import DeviceToken, database
from django_healthkit_ingest.pipeline.owned import owned
from django_healthkit_ingest.pipeline.pages import Order, Page, read_page, scope_of

PREFIX = "hki_"
"""So that scanners of leaked secrets, and people, know one when they see it."""

MAX_DEVICES = 100
"""Valid tokens a user may have."""

NOTED_EVERY = timedelta(minutes=5)
"""How exact ``used_at`` is."""

_LATEST_FIRST = Order(field="created_at", descending=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceView:
    id: UUID
    name: str
    device_id: str
    """The installation's own id, if it was given: its requests need not name it then, and may name no other."""
    created_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDevice:
    device: DeviceView
    token: str
    """Nobody can show it again."""


def create_device(*, user: Any, name: str = "", device_id: str = "") -> NewDevice:
    """Raises InvalidQuery for names that cannot be kept, or a user with too many devices."""
    for field, value in (("name", name), ("device_id", device_id)):
        if len(value) > 128 or "\0" in value:
            raise InvalidQuery(f"{field!r} must be a string of at most 128 characters.")
    mine = owned(DeviceToken, user=user)
    if mine.valid().count() >= MAX_DEVICES:
        raise InvalidQuery("There are too many devices; revoke some first.")
    token = PREFIX + secrets.token_urlsafe(32)
    row = DeviceToken.objects.using(database()).create(
        user_id=user.pk, digest=_digest(token), name=name, device_id=device_id, created_at=timezone.now()
    )
    return NewDevice(device=_show(row), token=token)


def list_devices(*, user: Any, cursor: str | None = None, size: int = 100) -> Page[DeviceView]:
    """Latest first, the revoked ones too. Raises InvalidQuery."""
    scope = scope_of("devices", user=user)
    page = read_page(owned(DeviceToken, user=user), order=_LATEST_FIRST, cursor=cursor, size=size, scope=scope)
    return page.of([_show(row) for row in page.rows])


def revoke_device(*, user: Any, device: UUID) -> None:
    """From the next request on. Revoking twice is revoking once. Raises NotFound."""
    mine = owned(DeviceToken, user=user).filter(uuid=device)
    if not mine.revoke(now=timezone.now()) and not mine.exists():
        raise NotFound("There is no such device of yours.")


def authenticate(token: str) -> tuple[Any, DeviceView]:
    """Whose token it is. Raises Unauthenticated for one that is unknown or revoked, or whose user may not sign in."""
    mine = DeviceToken.objects.using(database()).valid().filter(digest=_digest(token))
    row = mine.first()
    user = get_user_model()._default_manager.filter(pk=row.user_id).first() if row is not None else None
    if row is None or user is None or not getattr(user, "is_active", True):
        raise Unauthenticated("The device's token is unknown or revoked: keep the data and sign in again.")
    mine.mark_used(now=timezone.now(), every=NOTED_EVERY)
    return user, _show(row)


def is_device_token(text: str) -> bool:
    return text.startswith(PREFIX)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _show(row: DeviceToken) -> DeviceView:
    return DeviceView(
        id=row.uuid,
        name=row.name,
        device_id=row.device_id,
        created_at=row.created_at,
        used_at=row.used_at,
        revoked_at=row.revoked_at,
    )
