"""What the server wants an app to send next: iOS would give it everything it has ever recorded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """Answered by the host's ``CONTRACT`` function; every field has a default, so name what differs."""

    types: tuple[str, ...] | None = None
    """HealthKit identifiers the app should read and send; None: all it may read."""
    window: timedelta | None = None
    """How far back history is wanted; None: all of it."""
    records_per_request: int = 5000
    """A gzip body of so many records is some hundred kilobytes: a few seconds of background time on a slow network."""

    def __post_init__(self) -> None:
        types: object = self.types
        window: object = self.window
        number: object = self.records_per_request
        if types is not None and not (isinstance(types, tuple | list) and all(isinstance(each, str) for each in types)):
            raise ValueError("'types' must be None or a list of type identifiers")
        if window is not None and not (isinstance(window, timedelta) and window > timedelta(0)):
            raise ValueError("'window' must be None or a timedelta above 0")
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise ValueError("'records_per_request' must be a whole number above 0")
