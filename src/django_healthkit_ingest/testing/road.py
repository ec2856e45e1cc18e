from __future__ import annotations

from typing import Any
from uuid import uuid4

from django_healthkit_ingest import queues
from django_healthkit_ingest.models import ImportBatch
from django_healthkit_ingest.pipeline.accept import accept
from django_healthkit_ingest.pipeline.dispatch import dispatch
from django_healthkit_ingest.pipeline.finish import announce, finish
from django_healthkit_ingest.pipeline.process import process


def ingest(body: bytes, *, user: Any, format: str | None = None, **accept_kwargs: Any) -> ImportBatch:
    """Accept a body and see it through in this process, without a broker; answers the finished batch.

    Every verb is the real one; only the messages between them stay in a list. It also works in a ``TestCase``, where
    ``on_commit`` hooks do not run: ``batch_finished`` is sent all the same, ``batch_accepted`` and ``samples_changed``
    only inside ``captureOnCommitCallbacks(execute=True)``.
    """
    with queues.captured() as messages:
        batch = accept(body, user=user, format=format, **accept_kwargs)
        dispatch(user_id=batch.user_id, lane=batch.lane)
        while messages:
            message = messages.popleft()
            if message.name == queues.PROCESS_CHUNK:
                process(chunk_id=message.ids["chunk_id"], task_id=str(uuid4()))
        finish(batch_id=batch.pk)
    batch.refresh_from_db()
    if batch.announced_at is None:
        announce(batch_id=batch.pk)
        batch.refresh_from_db()
    return batch
