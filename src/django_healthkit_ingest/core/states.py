"""The states of a batch and of a chunk, the lanes they travel in and the books they keep."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Of a batch and of a chunk alike."""

    PENDING = "PENDING"
    """Nothing has claimed it."""
    PROCESSING = "PROCESSING"
    """A worker holds a lease on the chunk; some chunk of the batch was claimed."""
    COMPLETED = "COMPLETED"
    """The chunk's records are in the table; every chunk of the batch is. Rejected records are allowed."""
    FAILED = "FAILED"
    """The chunk was given up with a code; every chunk of the batch ended and one or more failed."""


FINAL = (Status.COMPLETED, Status.FAILED)
UNFINISHED = (Status.PENDING, Status.PROCESSING)


class Lane(StrEnum):
    """Two roads to the workers, so that history never stands before this morning."""

    LIVE = "LIVE"
    BACKFILL = "BACKFILL"


class Pausable(StrEnum):
    """What can be switched off for maintenance, each without the other."""

    PROCESSING = "processing"
    """No chunk is sent or claimed and no file is cut; what is under way is brought to its end. Intake goes on."""
    INTAKE = "intake"
    """Nothing new is accepted; workers go on."""


OUTCOMES = (
    "inserted",
    "updated",
    "adopted",
    "duplicate",
    "superseded",
    "buried",
    "deletion",
    "statistic",
    "withheld",
    "rejected",
)
"""What can become of a received record: exactly one of these. Their sum is what was received.

``withheld``: its user has switched its type off, and nothing of it was kept.
"""


EFFECTS = ("rows_removed", "rows_absorbed", "rows_reconciled", "rows_of_members")
"""What an import did to rows beside its records' outcomes; outside the sum."""
