"""One user's word on one type: keep it from now on, or do not, and forget what there is of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from django_healthkit_ingest.conf import get_consent
from django_healthkit_ingest.core.normalise import check_identifier
from django_healthkit_ingest.core.registry import MAX_IDENTIFIER_LENGTH
from django_healthkit_ingest.exceptions import DecidedElsewhere, InvalidQuery, RecordRejected
from django_healthkit_ingest.models import Consent, database
from django_healthkit_ingest.pipeline.consent import identify
from django_healthkit_ingest.pipeline.erase import ErasureStatus, order_erasure
from django_healthkit_ingest.pipeline.owned import owned
from django_healthkit_ingest.pipeline.store.locks import Scope, lock_user

MOST = 1000
"""Types one user can decide on; HealthKit has some 200."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    identifier: str
    allowed: bool
    changed_at: datetime
    """Since when it has been so; the same decision again does not change it."""
    erasure: ErasureStatus | None


def decide(*, user: Any, identifier: str, allowed: bool, erase: bool = False) -> Decision:
    """Switch a type on or off, by any of its names or by the wire string of one nobody knows.

    It holds for every chunk whose transaction ends after this one, also for what was received before. With ``erase``
    what is stored of the type goes as well, in the background; asking again orders another erasure.

    Raises InvalidQuery, and DecidedElsewhere while the host decides.
    """
    if get_consent() is not None:
        raise DecidedElsewhere("Consent is given and taken back in the app's own settings, not here.")
    if erase and allowed:
        raise InvalidQuery("'erase' goes with 'allowed' false: a type that is allowed is kept.")
    name = _checked(identifier)
    using = database()
    with transaction.atomic(using=using):
        # A merge that is on its way has read the table before; it reads it again when it holds this lock.
        lock_user(user.pk, scope=Scope.SAMPLES, using=using)
        changed_at = _write(user, name, allowed=allowed)
        erasure = order_erasure(user_id=user.pk, identifiers=[name]) if erase else None
    return Decision(identifier=name, allowed=allowed, changed_at=changed_at, erasure=erasure)


def _checked(identifier: str) -> str:
    try:
        check_identifier(identifier)
    except RecordRejected:
        raise InvalidQuery(
            f"'identifier' is a type's name: 1 to {MAX_IDENTIFIER_LENGTH} characters, and no control characters."
        ) from None
    return identify(identifier)


def _write(user: Any, identifier: str, *, allowed: bool) -> datetime:
    """Since when it has been so."""
    mine = owned(Consent, user=user)
    now = timezone.now()
    row = mine.filter(identifier=identifier)
    if row.decide(allowed=allowed, now=now):
        return now
    since = row.values_list("changed_at", flat=True).first()
    if since is not None:
        return since
    if mine.count() >= MOST:
        raise InvalidQuery(f"'identifier': {MOST} types have been decided on, which is all one user can have.")
    mine.create(user_id=user.pk, identifier=identifier, allowed=allowed, changed_at=now)
    return now
