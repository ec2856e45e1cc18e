from __future__ import annotations

from functools import reduce
from operator import add

from django.db import models
from django.db.models import F, Q

from django_healthkit_ingest.core.states import OUTCOMES, Status

STATUS_CHOICES = [(status.value, status.value) for status in Status]
"""Plain strings, so that no migration imports our code."""


class Books(models.Model):
    """How many records came in and what became of each: one outcome per record, held by the database.

    The ``rows_`` columns count effects, not outcomes, and stand outside the sum: rows that went because a deletion or a
    newer version said so, because they turned out to be copies of a dead record, because a complete window did not
    hold them; and rows that members of correlations added.
    """

    received = models.PositiveIntegerField(default=0)
    inserted = models.PositiveIntegerField(default=0)
    updated = models.PositiveIntegerField(default=0)
    adopted = models.PositiveIntegerField(default=0)
    duplicate = models.PositiveIntegerField(default=0)
    superseded = models.PositiveIntegerField(default=0)
    buried = models.PositiveIntegerField(default=0)
    deletion = models.PositiveIntegerField(default=0)
    statistic = models.PositiveIntegerField(default=0)
    withheld = models.PositiveIntegerField(default=0, db_default=0)
    rejected = models.PositiveIntegerField(default=0)
    rows_removed = models.PositiveIntegerField(default=0)
    rows_absorbed = models.PositiveIntegerField(default=0)
    rows_reconciled = models.PositiveIntegerField(default=0)
    rows_of_members = models.PositiveIntegerField(default=0)
    unknown_types = models.JSONField(default=dict)

    class Meta:
        abstract = True


BALANCED = ~Q(status=Status.COMPLETED.value) | Q(received=reduce(add, map(F, OUTCOMES)))
"""A row may only be COMPLETED when its outcomes add up to what it received."""
