"""The scalars of our schema that are not strawberry's own. Their names are the usual ones, so that a host's schema has
each of them once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

import strawberry
from strawberry.types.scalar import ScalarDefinition


class BigInt(int):
    """A whole number that 32 bits may not hold; a JSON number all the same.

    It brings its definition along, so that no host has to name it in a ``scalar_map``; one that has a ``BigInt`` of its
    own names it there: ``scalar_map={BigInt: theirs}``.
    """

    _scalar_definition: ClassVar[ScalarDefinition] = strawberry.scalar(
        name="BigInt", description="A whole number that may pass 32 bits.", serialize=int, parse_value=int
    )


class Instant(datetime):
    """An answer's instant, in UTC: strawberry's ``DateTime`` writes what ``isoformat`` says."""

    def isoformat(self, sep: str = "T", timespec: str = "auto") -> str:
        return super().isoformat(sep, timespec).replace("+00:00", "Z")


def instant(moment: datetime) -> Instant:
    told = moment.astimezone(UTC)
    return Instant.combine(told.date(), told.timetz())
