"""What the server wants an app to send next: the host's word, less what its user has switched off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from django_healthkit_ingest.conf import canonical, get_contract, get_settings
from django_healthkit_ingest.pipeline.consent import withheld_types


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractView:
    types: Sequence[str] | None
    """What to read and send; None: everything but ``withheld``."""
    start: datetime | None
    """How far back; None: as far as there is anything."""
    records_per_request: int
    max_body_bytes: int
    """Of a request, as sent: larger ones are answered 413."""
    withheld: Sequence[str]
    """Types the user has switched off: what is sent of them is dropped, so it need not be sent."""


def contract(*, user: Any, device: str | None = None) -> ContractView:
    terms = get_contract()(user, device)
    withheld = withheld_types(user_id=user.pk)
    types = None
    if terms.types is not None:
        types = [identifier for identifier in map(canonical, terms.types) if identifier not in withheld]
    return ContractView(
        types=types,
        start=timezone.now() - terms.window if terms.window is not None else None,
        records_per_request=terms.records_per_request,
        max_body_bytes=get_settings().max_body_bytes,
        withheld=sorted(withheld),
    )
