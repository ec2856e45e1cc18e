"""Where a merge is at work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Whose records these are, and which chunk of which batch brought them."""

    user_id: Any
    batch_id: int
    chunk_id: int
    only_chunk: bool
    """The batch has no other chunk, so nothing has to be remembered for it."""
    using: str
