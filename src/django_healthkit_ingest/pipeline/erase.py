"""Erasing a user's data: an order, which stays as the receipt, and bounded steps until nothing is left.

Each step is one transaction under the user's lock, with its counts: whoever dies in it has done nothing, and two
workers at one order take turns.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import IntegrityError, OperationalError, connections, models, router, transaction
from django.utils import timezone

from django_healthkit_ingest.core.normalise import check_identifier
from django_healthkit_ingest.core.states import Lane, Pausable, Status
from django_healthkit_ingest.exceptions import InvalidQuery, NotFound, RecordRejected
from django_healthkit_ingest.models import DeviceToken, Erasure, HealthSample, database
from django_healthkit_ingest.pipeline.belongings import SAMPLES, STATISTICS
from django_healthkit_ingest.pipeline.consent import identify
from django_healthkit_ingest.pipeline.erase_all import USER_DELETED, Room, erase_rows, prepare
from django_healthkit_ingest.pipeline.erase_types import erase_types
from django_healthkit_ingest.pipeline.failures import (
    CONFLICT_TRIES,
    TRANSIENT_OF_FILES,
    backoff,
    drop_broken_connection,
    is_conflict,
)
from django_healthkit_ingest.pipeline.owned import owned
from django_healthkit_ingest.pipeline.store.locks import Scope, lock_user, read_committed
from django_healthkit_ingest.pipeline.switches import is_paused
from django_healthkit_ingest.queues import ERASE, enqueue, in_this_context, lease
from django_healthkit_ingest.signals import samples_changed

logger = logging.getLogger("django_healthkit_ingest")

ROWS_AT_ONCE = 5_000
"""Plain rows that one transaction deletes: so long, in the worst case, does a merge of this user wait."""

SHARE_OF_LEASE = 0.2
"""After so much of it a run ends and sends the next message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureStatus:
    """One erasure as its user may see it: while it runs, and afterwards as the receipt."""

    id: UUID
    status: Status
    identifiers: tuple[str, ...] | None
    """None: everything."""
    created_at: datetime
    finished_at: datetime | None
    counts: Mapping[str, int]
    """What is gone so far, by kind; kinds of which there was nothing are left out."""
    error_code: str | None


def order_erasure(*, user_id: Any, identifiers: Iterable[str] | None = None) -> ErasureStatus:
    """Have everything of a user erased, or some types, by any of their names; answered before it is done.

    An unfinished order for the same is answered again. Consent and device tokens stay, for they are the user's word and
    not their data. Raises InvalidQuery for no type at all, and for what cannot be one.
    """
    return describe_erasure(_order(user_id=user_id, identifiers=_checked(identifiers)))


def get_erasure(*, user: Any, erasure_id: UUID) -> ErasureStatus:
    """Raises NotFound."""
    order = owned(Erasure, user=user).filter(uuid=erasure_id).first()
    if order is None:
        raise NotFound("There is no such erasure of yours.")
    return describe_erasure(order)


def describe_erasure(order: Erasure) -> ErasureStatus:
    return ErasureStatus(
        id=order.uuid,
        status=Status(order.status),
        identifiers=None if order.identifiers is None else tuple(order.identifiers),
        created_at=order.created_at,
        finished_at=order.finished_at,
        counts=dict(order.counts),
        error_code=order.error_code or None,
    )


def erase(*, erasure_id: int) -> None:
    """Take steps for a share of the lease, then send the next message, unless nothing is left.

    While processing is paused no step is taken; the message is used up, and sweep sends the next one after the pause.
    """
    orders = Erasure.objects.using(database()).filter(pk=erasure_id).unfinished()
    if is_paused(Pausable.PROCESSING):
        orders.mark_unsent()
        return
    order = orders.first()
    if order is None:
        return
    ends_at = time.monotonic() + lease().total_seconds() * SHARE_OF_LEASE
    try:
        while _step(erasure_id):
            if time.monotonic() > ends_at:
                send_erasure(order)
                return
    except TRANSIENT_OF_FILES as error:
        drop_broken_connection()
        logger.warning("Erasure %s is put back (%s).", erasure_id, type(error).__name__)
        send_erasure(order, delay=backoff(2))


def send_erasure(order: Erasure, *, delay: timedelta | None = None) -> bool:
    """The next message, unless somebody has sent one since the order was read: so two chains of messages become one."""
    mine = Erasure.objects.using(database()).filter(pk=order.pk)
    if not mine.filter(sent_at=order.sent_at).mark_sent(now=timezone.now()):
        return False
    if enqueue(ERASE, user_id=order.user_id, lane=Lane.BACKFILL, delay=delay, erasure_id=order.pk):
        return True
    mine.mark_unsent()
    return False


def erase_user(*, user_id: Any, identifiers: Iterable[str] | None = None) -> ErasureStatus:
    """The same at once, in this process and to its end, without a broker and whether or not processing is paused.

    Of a user who does not exist any more everything goes, consent and device tokens too. Not inside a transaction of
    the caller's: the steps would be one, and files go with its commit.
    """
    types = _checked(identifiers)
    is_deleted = types is None and not user_exists(user_id=user_id)
    order = _order(user_id=user_id, identifiers=types, is_deleted=is_deleted, is_here=True)
    while _step(order.pk):
        pass
    order.refresh_from_db()
    return describe_erasure(order)


def user_exists(*, user_id: Any) -> bool:
    """Asked where users are written, and of all of them: a lagging replica or a hiding manager must erase nobody."""
    users = get_user_model()
    return users._base_manager.using(router.db_for_write(users)).filter(pk=user_id).exists()


def erase_deleted_user(*, instance: models.Model, using: str, **kwargs: object) -> None:
    """Receiver of the user model's ``post_delete``: orders the erasure, and stops the user's devices at once.

    In the same transaction where both share a database, else after it. Rows that bypass Django's signals (raw SQL)
    bypass this too; the next chunk of such a user erases what is there.
    """
    user_id = instance.pk

    def order() -> None:
        with transaction.atomic(using=database()):
            DeviceToken.objects.using(database()).filter(user_id=user_id).revoke(now=timezone.now())
            _order(user_id=user_id, identifiers=None, is_deleted=True)

    if using == database():
        order()
    else:
        transaction.on_commit(in_this_context(order), using=using)


def _checked(identifiers: Iterable[str] | None) -> list[str] | None:
    if identifiers is None:
        return None
    names = [] if isinstance(identifiers, str) else list(identifiers)
    try:
        for name in names:
            check_identifier(name)
    except (RecordRejected, TypeError):
        names = []
    if not names:
        raise InvalidQuery("'identifiers' is a list of one type or more, by their names.")
    return sorted(set(map(identify, names)))


def _order(*, user_id: Any, identifiers: list[str] | None, is_deleted: bool = False, is_here: bool = False) -> Erasure:
    """``is_here``: the caller does the work, and no message is sent.

    No lock for a deleted user's: a host may delete thousands in one transaction, and of two orders the second finds
    nothing left.
    """
    using = database()
    now = timezone.now()
    with transaction.atomic(using=using):
        if not is_deleted:
            lock_user(user_id, scope=Scope.SAMPLES, using=using)
        orders = Erasure.objects.using(using).filter(user_id=user_id).unfinished()
        same = orders.of_everything() if identifiers is None else orders.of_types(identifiers)
        if is_deleted:
            same = same.filter(**{f"position__{USER_DELETED}": True})
        known = same.order_by("pk").first()
        if known is not None:
            return known
        order = Erasure.objects.using(using).create(
            user_id=user_id,
            identifiers=identifiers,
            position={USER_DELETED: True} if is_deleted else {},
            created_at=now,
            sent_at=now if is_here else None,
        )
        if not is_here:
            transaction.on_commit(in_this_context(lambda: _send_first(order)), using=using, robust=True)
    return order


def _send_first(order: Erasure) -> None:
    send_erasure(order)


def _step(erasure_id: int) -> bool:
    """Whether anything may be left."""
    using = database()
    order = Erasure.objects.using(using).filter(pk=erasure_id).unfinished().first()
    if order is None:
        return False
    if order.identifiers is None:
        prepare(user_id=order.user_id)
    tries_left = CONFLICT_TRIES
    while True:
        tries_left -= 1
        try:
            return _erase_some(order, using=using)
        except (OperationalError, IntegrityError) as error:
            # A chunk of rejections alone is completed without the user's lock: they are there at the second look.
            may_pass = is_conflict(error) or isinstance(error, IntegrityError)
            if connections[using].in_atomic_block or not tries_left or not may_pass:
                raise


def _erase_some(order: Erasure, *, using: str) -> bool:
    nested = connections[using].in_atomic_block
    with transaction.atomic(using=using):
        if not nested:
            read_committed(using)
        lock_user(order.user_id, scope=Scope.SAMPLES, using=using)
        mine = Erasure.objects.using(using).filter(pk=order.pk).unfinished()
        current = mine.first()
        if current is None:
            return False
        position = dict(current.position)
        if current.identifiers is None:
            room = Room(rows=ROWS_AT_ONCE)
            gone, is_done = erase_rows(user_id=order.user_id, position=position, room=room)
        else:
            types = current.identifiers
            gone, is_done = erase_types(user_id=order.user_id, identifiers=types, position=position, limit=ROWS_AT_ONCE)
        counts = dict(Counter(current.counts) + gone)
        if is_done:
            mine.complete(now=timezone.now(), position={}, counts=counts)
            transaction.on_commit(lambda: _announce(current, counts), using=using, robust=True)
        else:
            mine.advance(position=position, counts=counts)
    return not is_done


def _announce(order: Erasure, counts: Mapping[str, int]) -> None:
    removed = counts.get(SAMPLES.name, 0) + counts.get(STATISTICS.name, 0)
    if removed:
        samples_changed.send_robust(
            sender=HealthSample,
            user_id=order.user_id,
            batch_id=None,
            cause="erasure",
            identifiers=frozenset(order.identifiers or ()),
            start=None,
            end=None,
            inserted=0,
            updated=0,
            removed=removed,
        )
