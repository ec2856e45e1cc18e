from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from django.db.models import Exists, F, OuterRef, Q, Value
from django.db.models.functions import Coalesce

from django_healthkit_ingest.core.states import UNFINISHED, Status
from django_healthkit_ingest.querysets.owned import OwnedQuerySet

if TYPE_CHECKING:
    from django_healthkit_ingest.models import ImportBatch  # noqa: F401


class ImportBatchQuerySet(OwnedQuerySet["ImportBatch"]):
    def open(self) -> Self:
        """Not finished; the second condition is the partial index's."""
        return self.filter(finished_at__isnull=True, announced_at__isnull=True)

    def release_key(self, *, created_before: datetime) -> int:
        """The idempotency key of a batch so old may be used for another one."""
        return self.filter(created_at__lt=created_before).update(idempotency_key=None)

    def begin(self) -> int:
        """PENDING to PROCESSING, when the first chunk is claimed."""
        return self.filter(status=Status.PENDING).update(status=Status.PROCESSING)

    def closable(self) -> Self:
        """Open, completely cut into chunks, with no chunk left unfinished."""
        chunks = self.model._meta.get_field("chunks").related_model
        unfinished = chunks._default_manager.filter(batch=OuterRef("pk"), status__in=UNFINISHED)
        return self.open().filter(~Exists(unfinished), split_done=True)

    def grow(self, *, received: int, chunks: int) -> int:
        """More chunks of a file; the caller holds the fence of the batch's upload."""
        return self.filter(split_done=False).update(
            received=F("received") + received, chunk_count=F("chunk_count") + chunks
        )

    def split_failed(self) -> Self:
        """Their file could not be read to its end; what was read is stored."""
        return self.filter(upload__isnull=False).exclude(upload__error_code="")

    def end_split(self) -> int:
        """No chunk will be added: from now on the batch can be closed."""
        return self.filter(split_done=False).update(split_done=True)

    def elect_finisher(self, *, now: datetime) -> int:
        """1 for exactly one caller; the row stays locked until the caller commits."""
        return self.closable().update(finished_at=now)

    def close(self, *, status: Status, totals: Mapping[str, Any]) -> int:
        return self.update(status=status, **totals)

    def mark_announced(self, *, now: datetime) -> int:
        return self.filter(announced_at__isnull=True, finished_at__isnull=False).update(announced_at=now)

    def reopen(self) -> int:
        """Finished batches back to PROCESSING, to be finished and announced again; their totals are then replaced."""
        finished = self.filter(finished_at__isnull=False)
        return finished.update(status=Status.PROCESSING, finished_at=None, announced_at=None)

    def unannounced(self, *, finished_before: datetime) -> Self:
        return self.filter(announced_at__isnull=True, finished_at__lt=finished_before)

    def abandoned(self) -> Self:
        """They are being erased."""
        return self.filter(split_done=False, announced_at__isnull=False)

    def abandon(self, *, now: datetime, limit: int) -> int:
        """Nobody finishes or announces them any more: with some of their chunks gone their books cannot balance."""
        others = self.filter(Q(split_done=True) | Q(announced_at__isnull=True))
        mine = self.filter(pk__in=others.order_by("pk").values("pk")[:limit])
        return mine.update(split_done=False, announced_at=Coalesce("announced_at", Value(now)))

    def settled(self) -> Self:
        """All of it is in the tables, or somebody has said that it need not be."""
        return self.filter(Q(status=Status.COMPLETED) | Q(failure_accepted_at__isnull=False))

    def unsettled(self) -> Self:
        """Open, or FAILED and nobody has accepted that."""
        return self.exclude(status=Status.COMPLETED).filter(failure_accepted_at__isnull=True)

    def with_anchors(self) -> Self:
        return self.filter(anchors__isnull=False)

    def without_anchors(self) -> Self:
        return self.filter(anchors__isnull=True)

    def with_anchors_to_release(self) -> Self:
        return self.filter(anchors__isnull=False, anchors_released_at__isnull=True)

    def keep_anchors(self, anchors: Mapping[str, str]) -> int:
        """These and no others are still to be released: the other types were erased."""
        return self.filter(anchors_released_at__isnull=True).update(anchors=dict(anchors))

    def mark_anchors_released(self, *, now: datetime) -> int:
        """They are in the sync state now, or newer ones are: the batch need not keep them, and holds back nobody."""
        return self.filter(anchors_released_at__isnull=True).update(anchors_released_at=now, anchors={})

    def accept_failure(self, *, now: datetime) -> int:
        return self.filter(status=Status.FAILED, failure_accepted_at__isnull=True).update(failure_accepted_at=now)

    def mark_reconciled(self, *, now: datetime) -> int:
        """A batch's windows are acted upon once, whatever becomes of it later."""
        return self.filter(reconciled_at__isnull=True).update(reconciled_at=now)

    def warn(self, *warnings: str) -> int:
        return self.update(warnings=list(warnings))

    def note_reconciled(self, *, rows: int) -> int:
        return self.update(rows_reconciled=rows)
