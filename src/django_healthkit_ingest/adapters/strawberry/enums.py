"""The enums of our schema: its own classes, since strawberry marks those it is given."""

from __future__ import annotations

from enum import Enum

import strawberry


@strawberry.enum(description="Clients treat a value they do not know as another unfinished one.")
class HealthKitImportStatus(Enum):
    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


@strawberry.enum(description="Of an erasure or an export.")
class HealthKitOrderStatus(Enum):
    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


@strawberry.enum(description="Two roads to the workers, so that history never stands before this morning.")
class HealthKitLane(Enum):
    LIVE = "LIVE"
    BACKFILL = "BACKFILL"
