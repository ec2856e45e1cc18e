"""Every error this package raises on purpose: one base, a stable ``code`` on each child.

Texts name places (JSON pointers, field names) and cures, never the values that were sent: an error text may end up
in a log. The HTTP status of each code is the adapters' table, not the error's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from django_healthkit_ingest.core.buckets import Allowance


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """One place in a body and what is wrong with it; ``pointer`` is an RFC 6901 JSON pointer."""

    pointer: str
    code: str
    detail: str


class HealthKitIngestError(Exception):
    """Base of the errors a caller may want to catch together."""

    code: ClassVar[str] = "error"
    title: ClassVar[str] = "The request could not be served"

    def __init__(self, detail: str, *, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.detail, self.errors))


def _rebuild(cls: type[HealthKitIngestError], detail: str, errors: tuple[FieldError, ...]) -> HealthKitIngestError:
    return cls(detail, errors=errors)


class InvalidBody(HealthKitIngestError, ValueError):
    """The bytes sent can never be accepted; base of the errors that say why."""


class MalformedBody(InvalidBody):
    code = "malformed_body"
    title = "The body is not well-formed JSON"


class InvalidEnvelope(InvalidBody):
    code = "invalid_envelope"
    title = "The envelope has the wrong shape"


class TimeZoneRequired(InvalidBody):
    code = "time_zone_required"
    title = "A time zone is required"


class CorruptEncoding(InvalidBody):
    code = "corrupt_encoding"
    title = "The compressed body is damaged"


class BodyTooLarge(InvalidBody):
    code = "body_too_large"
    title = "The body is too large"


class UnknownFormat(InvalidBody):
    code = "unknown_format"
    title = "The wire format is not known here"


class UnsupportedEncoding(InvalidBody):
    code = "unsupported_encoding"
    title = "The content encoding is not supported"


class IdempotencyMismatch(HealthKitIngestError):
    code = "idempotency_mismatch"
    title = "The idempotency key was used with another body"


class InvalidUpload(InvalidBody):
    code = "invalid_upload"
    title = "The upload cannot be imported"


class NotFound(HealthKitIngestError):
    """There is no such thing of this user's; somebody else's looks the same."""

    code = "not_found"
    title = "Not found"


class UnknownUpload(NotFound):
    """No upload token of this user's."""


class InvalidQuery(HealthKitIngestError, ValueError):
    """A question that cannot be answered as it is put; the detail names the parameter."""

    code = "invalid_query"
    title = "The query cannot be answered"


class Unauthenticated(HealthKitIngestError):
    code = "unauthenticated"
    title = "Sign in"


class Forbidden(HealthKitIngestError):
    code = "forbidden"
    title = "Not allowed"


class DecidedElsewhere(HealthKitIngestError):
    """The host answers this itself (``CONSENT``), so it cannot be changed through our doors."""

    code = "decided_elsewhere"
    title = "This is decided elsewhere"


class TryLater(HealthKitIngestError):
    """Nothing is wrong with the bytes: the same ones are welcome after ``retry_after`` seconds."""

    def __init__(self, detail: str, *, retry_after: int, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail, errors=errors)
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_later, (type(self), self.detail, self.retry_after))


def _rebuild_later(cls: type[TryLater], detail: str, retry_after: int) -> TryLater:
    return cls(detail, retry_after=retry_after)


class Unavailable(TryLater):
    code = "unavailable"
    title = "Not available now"


class IntakePaused(Unavailable):
    """Somebody has switched intake off, for maintenance."""


class RateLimited(TryLater):
    """``allowances``: the buckets that were looked at, for the answer's header fields."""

    code = "rate_limited"
    title = "Too much in too short a time"

    def __init__(
        self,
        detail: str,
        *,
        retry_after: int,
        errors: tuple[FieldError, ...] = (),
        allowances: tuple[Allowance, ...] = (),
    ) -> None:
        super().__init__(detail, retry_after=retry_after, errors=errors)
        self.allowances = allowances

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_limited, (type(self), self.detail, self.retry_after, self.allowances))


def _rebuild_limited(
    cls: type[RateLimited], detail: str, retry_after: int, allowances: tuple[Allowance, ...]
) -> RateLimited:
    return cls(detail, retry_after=retry_after, allowances=allowances)


class UserBacklogFull(TryLater):
    code = "user_backlog_full"
    title = "Too much of this user's data is still being worked on"


class BacklogFull(TryLater):
    code = "backlog_full"
    title = "Too much data is still being worked on"


class PayloadUnavailable(HealthKitIngestError):
    code = "payload_unavailable"
    title = "The chunk's payload was purged or cannot be read"


class UnitError(HealthKitIngestError, ValueError):
    """A unit string outside the HKUnit grammar, or two units of different dimensions."""

    code = "invalid_unit"
    title = "The unit cannot be used"


class InvalidSampleType(HealthKitIngestError, ValueError):
    """A row of the sample type catalogue cannot be used; the detail names row and field."""

    code = "invalid_sample_type"
    title = "The sample type cannot be used"


class DuplicateSampleType(InvalidSampleType):
    code = "duplicate_sample_type"
    title = "Two sample types have one name"


class RecordRejected(HealthKitIngestError, ValueError):
    """One record cannot be stored; ``field`` is a dotted path in the record, ``reason`` a stable code."""

    code = "rejected"
    title = "The record was rejected"

    def __init__(
        self, detail: str, *, field: str = "", reason: str = "invalid", errors: tuple[FieldError, ...] = ()
    ) -> None:
        super().__init__(detail, errors=errors)
        self.field = field
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_rejected, (self.detail, self.field, self.reason))


def _rebuild_rejected(detail: str, field: str, reason: str) -> RecordRejected:
    return RecordRejected(detail, field=field, reason=reason)
