"""Which figures there are, and in what order they are measured; each section is a process with a world of its own."""

from __future__ import annotations

from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.measure import Figure

SECTIONS = ("road", "write", "sqlite", "accept", "tables", "files")
"""Modules of this package; the longest first, for the quick ones run side by side."""


class Scale(StrEnum):
    QUICK = "quick"
    """Shows that the harness is right, not how fast anything is."""
    NORMAL = "normal"
    FULL = "full"
    """The sizes that the targets name: 500 MB, 5 million rows."""


class Section(Protocol):
    def figures(self, *, scale: Scale) -> Iterator[Figure]:
        """Measured one after the other; raises what it meets, for a figure that cannot be had is a failure."""


def find(name: str) -> Section:
    return cast("Section", import_module(f"benchmarks.{name}"))
