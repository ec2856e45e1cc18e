"""While everything of a user is being erased, nothing new is taken from them: it would go, too."""

from __future__ import annotations

from typing import Any

from django_healthkit_ingest.exceptions import Unavailable
from django_healthkit_ingest.models import Erasure, database

RETRY_AFTER = 60
"""Seconds until a phone asks again; what a user has is gone in seconds, or a few minutes."""


def check_not_erasing(*, user_id: Any) -> None:
    """Raises Unavailable while an erasure of everything of this user is ordered and not completed."""
    orders = Erasure.objects.using(database()).filter(user_id=user_id)
    if orders.unfinished().of_everything().exists():
        raise Unavailable(
            "Everything of this user is being erased. Keep the data and send the same bytes later.",
            retry_after=RETRY_AFTER,
        )
