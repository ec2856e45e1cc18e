"""What an answer means for the bytes that were sent. Data is given up for no answer at all."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Advice(StrEnum):
    DONE = "DONE"
    LATER = "LATER"
    """Wait, then the same bytes again."""
    AUTH = "AUTH"
    """Sign in, then the same bytes again."""
    SPLIT = "SPLIT"
    """Smaller bodies."""
    FIX = "FIX"
    """These bytes never succeed: keep them for a better version of the app."""
    NEVER = "NEVER"
    """What was asked for does not exist."""


_WITHOUT_A_WORD = {401: Advice.AUTH, 403: Advice.AUTH, 413: Advice.SPLIT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int = 0
    """0: none came."""
    content: Any = None
    """The JSON object; None if it is something else."""
    retry_after: float = 0
    """Seconds."""

    @property
    def is_a_problem(self) -> bool:
        """Whether the server itself refused, so that nothing was stored; not a proxy or a hotel's login page."""
        return self.content is not None and "retry" in self.content

    @property
    def advice(self) -> Advice:
        """The problem's ``retry``. Whoever answered without one may not know what became of the bytes: so LATER."""
        if 200 <= self.status < 300 and self.content is not None:
            return Advice.DONE
        word = self.content["retry"] if self.is_a_problem else None
        if word in tuple(Advice):
            return Advice(word)
        return _WITHOUT_A_WORD.get(self.status, Advice.LATER)
