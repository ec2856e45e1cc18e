"""What only HTTP says, or says with more words than ``pipeline``: the shapes of such answers, for their document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from django_healthkit_ingest.adapters.rest_framework.answers import URL
from django_healthkit_ingest.exceptions import FieldError
from django_healthkit_ingest.pipeline.devices import DeviceView
from django_healthkit_ingest.pipeline.export import ExportStatus
from django_healthkit_ingest.pipeline.problems import ANSWERS

if TYPE_CHECKING:
    ProblemCode = StrEnum
else:
    ProblemCode = StrEnum("ProblemCode", {code.upper(): code for code in ANSWERS}, module=__name__)
    ProblemCode.__doc__ = "Stable; a client treats one it does not know by its `retry`."


class Retry(StrEnum):
    """What a client does with the bytes it still has."""

    FIX = "FIX"
    """Keep them; they need a new version of the client, for these bytes never succeed."""
    SPLIT = "SPLIT"
    """Send them in smaller bodies."""
    AUTH = "AUTH"
    """Keep them, sign in, send them again."""
    LATER = "LATER"
    """Keep them, wait `Retry-After` seconds, send the same bytes again."""
    NEVER = "NEVER"
    """What was asked for does not exist or cannot be done here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Problem details (RFC 9457). No text quotes what was sent."""

    type: str
    code: ProblemCode
    title: str
    status: int
    detail: str
    """What is wrong and how it is cured."""
    errors: Sequence[FieldError]
    """At most ten places in the body."""
    retry: Retry


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDevice(DeviceView):
    token: str
    """Sent as `Authorization: Bearer`; nobody can show it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    upload: str
    """The token to name in `POST imports/` once the file has arrived."""
    method: str
    url: URL
    headers: Mapping[str, str]
    """To be sent along."""
    expires_at: datetime
    """When the sending must have begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export(ExportStatus):
    file: URL | None
    """Where it can be fetched, null as long as it cannot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncAccepted:
    """What the mobile SDKs of open-wearables expect."""

    status_code: int
    response: str
    batch_id: str
