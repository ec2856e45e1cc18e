"""Celery's view of the pipeline: names, delivery policy, one call each.

The policy stands on the tasks and not only in the host's Celery settings, so that a host which runs Celery for other
work keeps its own: late acknowledgement, and a failed or killed run is not acknowledged at all, so that SQS brings
the message back and, in the end, lays it in the dead-letter queue.
"""

from __future__ import annotations

from typing import Any

from celery import Task, shared_task
from celery.signals import task_postrun, task_prerun
from django.db import connections

from django_healthkit_ingest import queues
from django_healthkit_ingest.models import ImportBatch, database
from django_healthkit_ingest.pipeline.dispatch import dispatch
from django_healthkit_ingest.pipeline.erase import erase
from django_healthkit_ingest.pipeline.export import export
from django_healthkit_ingest.pipeline.failures import quoting_nothing
from django_healthkit_ingest.pipeline.process import process
from django_healthkit_ingest.pipeline.split import split
from django_healthkit_ingest.pipeline.sweep import sweep
from django_healthkit_ingest.sqs.depth import measure_queues

_POLICY: dict[str, Any] = {
    "acks_late": True,
    "acks_on_failure_or_timeout": False,  # Celery 5.6; the next two are what 5.7 split it into
    "acks_on_failure": False,
    "acks_on_timeout": False,
    "reject_on_worker_lost": True,
    "ignore_result": True,
}


def keep_good_connections(*, sender: Task[Any, Any], **_signal: object) -> None:
    """Between tasks as Django does between requests: connections that are broken or too old are closed, no others.

    Celery would close all of them, whatever ``CONN_MAX_AGE`` says, but for ``CELERY_DB_REUSE_MAX``. A connection that
    broke while nobody used it must not cost a task its run, so it is tried even without ``CONN_HEALTH_CHECKS``.
    """
    if sender.request.is_eager:
        return
    for connection in connections.all(initialized_only=True):
        connection.close_if_unusable_or_obsolete()
        is_kept = connection.connection is not None and not connection.in_atomic_block
        if is_kept and not connection.settings_dict["CONN_HEALTH_CHECKS"] and not connection.is_usable():
            connection.close()


task_prerun.connect(keep_good_connections, dispatch_uid="healthkit_ingest.connections")
task_postrun.connect(keep_good_connections, dispatch_uid="healthkit_ingest.connections")


@shared_task(name=queues.DISPATCH_BATCH, **_POLICY)
def dispatch_batch(*, batch_id: int, **_later: object) -> None:
    """Fill the window of the batch's user and lane. Keywords of a newer release are ignored."""
    with quoting_nothing("dispatch_batch"):
        batches = ImportBatch.objects.using(database()).filter(pk=batch_id)
        for user_id, lane in batches.values_list("user_id", "lane"):
            dispatch(user_id=user_id, lane=lane)


@shared_task(name=queues.PROCESS_CHUNK, bind=True, **_POLICY)
def process_chunk(self: Task[Any, Any], *, chunk_id: int, **_later: object) -> None:
    """See one chunk through, as the task run that SQS knows."""
    with quoting_nothing("process_chunk"):
        process(chunk_id=chunk_id, task_id=self.request.id or "")


@shared_task(name=queues.SPLIT_UPLOAD, bind=True, **_POLICY)
def split_upload(self: Task[Any, Any], *, upload_id: int, **_later: object) -> None:
    """Cut the next part of an uploaded file into chunks; a file that is not done sends itself the next message."""
    with quoting_nothing("split_upload"):
        split(upload_id=upload_id, task_id=self.request.id or "")


@shared_task(name=queues.ERASE, **_POLICY)
def erase_data(*, erasure_id: int, **_later: object) -> None:
    """Take an erasure some steps further; one that is not done sends itself the next message."""
    with quoting_nothing("erase"):
        erase(erasure_id=erasure_id)


@shared_task(name=queues.EXPORT, **_POLICY)
def export_data(*, export_id: int, **_later: object) -> None:
    """Write the next parts of an export; one that is not done sends itself the next message."""
    with quoting_nothing("export"):
        export(export_id=export_id)


@shared_task(name=queues.SWEEP, **_POLICY)
def sweep_stale(**_later: object) -> None:
    """For hosts that run beat; others run ``manage.py healthkit_ingest_sweep`` on a schedule."""
    with quoting_nothing("sweep"):
        sweep()
        measure_queues()
