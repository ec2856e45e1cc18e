"""Maintenance: one switch stops processing, one intake. They are rows, so that every process sees them at once."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Exists
from django.db.models.expressions import Combinable
from django.utils import timezone

from django_healthkit_ingest.core.states import Pausable
from django_healthkit_ingest.exceptions import IntakePaused
from django_healthkit_ingest.models import ImportChunk, Switch, database

RETRY_AFTER = 60
"""Seconds until a phone asks again whether intake is open; nobody knows how long the maintenance takes."""


def paused() -> frozenset[Pausable]:
    """What is switched off at this moment."""
    return frozenset(map(Pausable, Switch.objects.using(database()).values_list("name", flat=True)))


def is_paused(part: Pausable) -> bool:
    return Switch.objects.using(database()).filter(name=part).exists()


def unless_paused(part: Pausable) -> Combinable:
    """The same as a condition, for a statement that is made anyway."""
    return ~Exists(Switch.objects.filter(name=part))


def pause(part: Pausable) -> bool:
    """False if it was paused before. Chunks and steps of files that are under way are brought to their end."""
    switches = Switch.objects.using(database())
    return switches.get_or_create(name=part.value, defaults={"since": timezone.now()})[1]


def resume(part: Pausable) -> bool:
    """False if it was not paused. What has been put back meanwhile is for ``sweep`` to send."""
    using = database()
    with transaction.atomic(using=using):
        resumed, _ = Switch.objects.using(using).filter(name=part).delete()
        if resumed and part is Pausable.PROCESSING:
            ImportChunk.objects.using(using).all().restart_waiting(now=timezone.now())
    return bool(resumed)


def check_intake() -> None:
    """Raises IntakePaused."""
    if is_paused(Pausable.INTAKE):
        raise IntakePaused("Keep the data and send the same bytes later.", retry_after=RETRY_AFTER)
