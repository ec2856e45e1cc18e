"""Which types a user has switched off: by the host's word (``CONSENT``), or else by our own table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, Q

from django_healthkit_ingest.conf import canonical, get_consent, get_registry
from django_healthkit_ingest.core.type_names import flutter_identifier
from django_healthkit_ingest.models import Consent, database
from django_healthkit_ingest.pipeline.owned import owned

CLOCKS_DIFFER = timedelta(minutes=5)
"""How far the clocks of the host's machines may be apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentStatus:
    identifier: str
    allowed: bool
    changed_at: datetime | None
    """None while the host decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Withholding:
    """What was switched off when it was read. ``rows`` says the same as it is stored; None while the host decides."""

    types: frozenset[str]
    rows: frozenset[str] | None


NOTHING = Withholding(types=frozenset(), rows=None)
"""For what has no type."""


def withheld_types(*, user_id: Any) -> frozenset[str]:
    """Identifiers. One query of an index, or one call of the host's function, whose errors pass through."""
    return read_withholding(user_id=user_id).types


def read_withholding(*, user_id: Any) -> Withholding:
    """As ``withheld_types``, and what it takes to ask later whether it still holds."""
    ask = get_consent()
    if ask is not None:
        return Withholding(types=frozenset(map(identify, ask(user_id))), rows=None)
    rows = _rows(user_id)
    return Withholding(types=frozenset(map(identify, rows)), rows=rows)


def still_holds(withholding: Withholding, *, user_id: Any) -> Q:
    """A condition for a statement of a transaction that holds the user's lock: nothing has been decided since.

    The host is not asked again.
    """
    if withholding.rows is None:
        return Q()
    mine = Consent.objects.using(database()).filter(user_id=user_id)
    holds = Q(~Exists(mine.withheld().exclude(identifier__in=withholding.rows)))
    if withholding.rows:
        holds &= Q(~Exists(mine.filter(allowed=True, identifier__in=withholding.rows)))
    return holds


def has_changed(withholding: Withholding, *, user_id: Any) -> bool:
    """One query; never while the host decides."""
    return withholding.rows is not None and withholding.rows != _rows(user_id)


def withheld_since(moment: datetime, *, user_id: Any) -> frozenset[str]:
    """Types that may have been withheld at any time since then. Of the host's decisions only today's is known."""
    if get_consent() is not None:
        return withheld_types(user_id=user_id)
    changed = Q(allowed=False) | Q(changed_at__gte=moment - CLOCKS_DIFFER)
    rows = Consent.objects.using(database()).filter(changed, user_id=user_id)
    return frozenset(map(identify, rows.values_list("identifier", flat=True)))


def list_consents(*, user: Any) -> Sequence[ConsentStatus]:
    """By identifier. What the user never decided is not listed, and it is allowed; nor is what the host allows."""
    if get_consent() is not None:
        withheld = sorted(withheld_types(user_id=user.pk))
        return [ConsentStatus(identifier=each, allowed=False, changed_at=None) for each in withheld]
    rows = owned(Consent, user=user).order_by("identifier").values_list("identifier", "allowed", "changed_at")
    return [ConsentStatus(identifier=name, allowed=allowed, changed_at=moment) for name, allowed, moment in rows]


def identify(name: str) -> str:
    """A type's identifier by any of its names, also by Flutter's; an unknown name is its own."""
    if get_registry().get(name) is None:
        name = flutter_identifier(name) or name
    return canonical(name)


def _rows(user_id: Any) -> frozenset[str]:
    rows = Consent.objects.using(database()).filter(user_id=user_id).withheld()
    return frozenset(rows.values_list("identifier", flat=True))
