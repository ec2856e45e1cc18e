"""What can be wrong with a body as a whole: places, codes and cures, never a value."""

from __future__ import annotations

from django_healthkit_ingest.core.formats.windows import MAX_ANCHOR_LENGTH, MAX_TYPES, MAX_WINDOWS
from django_healthkit_ingest.core.rejections import reasons
from django_healthkit_ingest.core.states import Lane
from django_healthkit_ingest.exceptions import FieldError, InvalidEnvelope

VERSION = 1
MAX_TEXT_LENGTH = 255
"""Of the members of ``device`` and ``client``."""
MAX_ERRORS = 10

_FAULTS = {
    "missing_field": "the key is required; send an empty array if there is nothing",
    "missing_type": "name at least one type",
    "invalid_type": "a type's name has 1 to 128 characters, and no control characters",
    "invalid_anchor": f"an anchor is a text of 1 to {MAX_ANCHOR_LENGTH} characters",
    "too_many": f"send at most {MAX_TYPES} types, and {MAX_WINDOWS} windows",
    "empty_window": "a window ends after it starts",
    "duplicate_key": "send each key once: of two, one would be lost",
    "wrong_type": "the value has the wrong JSON type",
    "unsupported_version": f"this server speaks version {VERSION} of the envelope",
    "format_mismatch": "the body names another format than the request",
    "invalid_lane": f"use one of {', '.join(Lane)}",
    "invalid_time_zone": "use an IANA time zone name, such as Europe/Berlin",
    "time_zone_mismatch": "the body names another time zone than the request; send it once",
    "unsupported_provider": "this server takes data of HealthKit only; send provider apple",
    "too_long": f"use at most {MAX_TEXT_LENGTH} characters",
    "nul_character": "remove the character U+0000",
    "number_out_of_range": "use a whole number from 0 to 9223372036854775807",
    **{code: reasons()[code] for code in ("invalid_date", "implausible_date", "end_before_start")},
}


def envelope_fault(pointer: str, code: str) -> FieldError:
    return FieldError(pointer=pointer, code=code, detail=_FAULTS[code])


def invalid_envelope(errors: list[FieldError]) -> InvalidEnvelope:
    shown = tuple(errors[:MAX_ERRORS])
    return InvalidEnvelope("; ".join(f"{error.pointer}: {error.detail}" for error in shown), errors=shown)
