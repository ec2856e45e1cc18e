"""What clients are told when something is wrong, in words that both doors share (RFC 9457, problem details).

Clients throw away what gets a 4xx, so this table is a data-loss API: 4xx only where the same bytes can never succeed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from django.db import InterfaceError, OperationalError

from django_healthkit_ingest.exceptions import FieldError, HealthKitIngestError, TryLater

logger = logging.getLogger("django_healthkit_ingest")

RETRY_AFTER = 30
"""Seconds a client should wait after trouble of our own."""

KEEP = "Keep the data and send the same bytes later."


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a client is told about one code: the HTTP status and what to do with the bytes it still has."""

    status: int
    retry: str


def _answer(status: int, retry: str) -> Answer:
    return Answer(status=status, retry=retry)


ANSWERS = {
    "malformed_body": _answer(400, "FIX"),
    "invalid_envelope": _answer(400, "FIX"),
    "invalid_query": _answer(400, "FIX"),
    "time_zone_required": _answer(400, "FIX"),
    "corrupt_encoding": _answer(400, "FIX"),
    "invalid_upload": _answer(400, "FIX"),
    "unauthenticated": _answer(401, "AUTH"),
    "forbidden": _answer(403, "AUTH"),
    "not_found": _answer(404, "NEVER"),
    "method_not_allowed": _answer(405, "NEVER"),
    "decided_elsewhere": _answer(409, "NEVER"),
    "payload_unavailable": _answer(410, "NEVER"),
    "body_too_large": _answer(413, "SPLIT"),
    "unknown_format": _answer(415, "FIX"),
    "unsupported_encoding": _answer(415, "FIX"),
    "idempotency_mismatch": _answer(422, "FIX"),
    "rate_limited": _answer(429, "LATER"),
    "user_backlog_full": _answer(429, "LATER"),
    "backlog_full": _answer(503, "LATER"),
    "unavailable": _answer(503, "LATER"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    code: str
    title: str
    detail: str
    errors: tuple[FieldError, ...] = ()
    retry_after: int | None = None
    """Seconds; of LATER problems only."""

    @property
    def type(self) -> str:
        return f"urn:healthkit-ingest:problem:{self.code}"

    @property
    def status(self) -> int:
        return ANSWERS[self.code].status

    @property
    def retry(self) -> str:
        return ANSWERS[self.code].retry


UNAUTHENTICATED = Problem(code="unauthenticated", title="Sign in", detail="Keep the data, sign in and send it again.")
FORBIDDEN = Problem(code="forbidden", title="Not allowed", detail="Keep the data, sign in as its user, send again.")
NOT_FOUND = Problem(code="not_found", title="Not found", detail="There is no such thing of yours.")
UNAVAILABLE = Problem(code="unavailable", title="Not available now", detail=KEEP, retry_after=RETRY_AFTER)


def find_problem(error: BaseException) -> Problem | None:
    """What to tell a client of this error; None: it is nobody's fault that we know of, and the host's 500."""
    if isinstance(error, HealthKitIngestError) and error.code in ANSWERS:
        return Problem(
            code=error.code,
            title=error.title,
            detail=error.detail,
            errors=error.errors,
            retry_after=error.retry_after if isinstance(error, TryLater) else None,
        )
    if isinstance(error, OperationalError | InterfaceError):
        logger.error("The database is away (%s): asked the client to come back.", type(error).__name__)
        return UNAVAILABLE
    return None
