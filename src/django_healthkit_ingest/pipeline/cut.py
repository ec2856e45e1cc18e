"""The chunks that a step of a file makes, and the place it has come to: committed together or not at all."""

from __future__ import annotations

import time

from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from django_healthkit_ingest.core.encodings import compress
from django_healthkit_ingest.core.formats.base import Portion
from django_healthkit_ingest.core.formats.envelope import join
from django_healthkit_ingest.core.samples import Section
from django_healthkit_ingest.models import ImportBatch, ImportChunk, ImportUpload, database
from django_healthkit_ingest.pipeline.failures import LostClaim
from django_healthkit_ingest.pipeline.statements import insert_chunks
from django_healthkit_ingest.queues import lease

HELD_BYTES = 2**20
"""Compressed payloads held in memory before they are committed; the statement that writes them has copies of them."""

HELD_SECONDS = 1.0
"""How long workers wait for the next chunks of a slow file, and what a crash makes the next run read again."""


class Cut:
    """What this claim on an upload has read and not yet committed.

    The counters are read once: while the claim is the newest, nobody else adds chunks to the batch.
    """

    def __init__(self, upload: ImportUpload) -> None:
        self.upload = upload
        chunks = ImportChunk.objects.using(database()).filter(batch_id=upload.batch_id)
        counted = chunks.order_by().values_list("section").annotate(Sum("received"))
        self.records: dict[str, int] = {section: int(received) for section, received in counted}
        self.index = upload.batch.chunk_count
        self.position = upload.position
        self._begin()

    def _begin(self) -> None:
        self.chunks: list[ImportChunk] = []
        self.bytes = 0
        self.since = time.monotonic()

    def add(self, portion: Portion, *, read: int) -> None:
        """``read``: bytes of the stored file behind the reader, for progress bars only."""
        behind = max(read, self.position.get("bytes", 0))
        self.position = {"reader": dict(portion.position), "bytes": min(behind, self.upload.size)}
        if portion.records:
            self._add(portion)

    def _add(self, portion: Portion) -> None:
        section = Section(portion.section)
        first_index = self.records.get(section, 0)
        payload = compress(join(portion.records))
        self.chunks.append(
            ImportChunk(
                batch_id=self.upload.batch_id,
                user_id=self.upload.batch.user_id,
                lane=self.upload.batch.lane,
                index=self.index + len(self.chunks),
                section=section.value,
                first_index=first_index,
                received=len(portion.records),
                payload=payload,
            )
        )
        self.records[section] = first_index + len(portion.records)
        self.bytes += len(payload)

    def is_full(self) -> bool:
        return self.bytes >= HELD_BYTES or time.monotonic() - self.since >= HELD_SECONDS

    def commit(self, *, is_last: bool = False) -> None:
        """Raises LostClaim, and nothing is stored, when the claim is no longer the newest or the user was erased."""
        using = database()
        mine = ImportUpload.objects.using(using).filter(pk=self.upload.pk)
        batches = ImportBatch.objects.using(using).filter(pk=self.upload.batch_id)
        now = timezone.now()
        claim_no = self.upload.claim_no
        with transaction.atomic(using=using):
            if not mine.advance(claim_no=claim_no, position=self.position, lease_until=now + lease()):
                raise LostClaim
            batches.grow(received=sum(chunk.received for chunk in self.chunks), chunks=len(self.chunks))
            insert_chunks(self.chunks, using=using)
            if is_last:
                mine.end(claim_no=claim_no, now=now)
                batches.end_split()
        self.upload.attempts = 0
        self.index += len(self.chunks)
        self._begin()
