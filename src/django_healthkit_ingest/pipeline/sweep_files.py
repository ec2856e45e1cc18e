"""What a crash or a lost message left of uploads: steps nobody takes, files nobody needs."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import timedelta

from django.utils import timezone

from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.core.states import Pausable
from django_healthkit_ingest.models import ImportUpload, database
from django_healthkit_ingest.pipeline.files import FOLDER, IMPORTED_WITHIN, delete_files, file_storage
from django_healthkit_ingest.pipeline.split import delete_file
from django_healthkit_ingest.pipeline.switches import is_paused
from django_healthkit_ingest.queues import SPLIT_UPLOAD, enqueue

logger = logging.getLogger("django_healthkit_ingest")

DELETED_AT_ONCE = 100
"""Files without a batch that one sweep looks at; the next one goes on."""


def resend_uploads() -> int:
    """One message for each upload whose last one was lost or whose worker died; its claim counts the attempts."""
    if is_paused(Pausable.PROCESSING):
        return 0
    using = database()
    stale_after = get_settings().stale_after
    now = timezone.now()
    uploads = ImportUpload.objects.using(using)
    sent = 0
    stranded = uploads.stranded(now=now, stale_after=stale_after)
    for upload_id, user_id, lane in list(stranded.values_list("pk", "batch__user_id", "batch__lane")):
        mine = uploads.filter(pk=upload_id)
        if mine.stranded(now=now, stale_after=stale_after).mark_sent(now=now):
            if enqueue(SPLIT_UPLOAD, user_id=user_id, lane=lane, upload_id=upload_id):
                sent += 1
            else:
                mine.mark_unsent()
    return sent


def delete_old_files() -> int:
    """Files whose upload has no step left, and those that were sent and never imported."""
    undeleted = list(ImportUpload.objects.using(database()).undeleted().values_list("pk", flat=True))
    for upload_id in undeleted:
        delete_file(upload_id=upload_id)
    orphans = list(_orphans())
    delete_files(orphans)
    return len(undeleted) + len(orphans)


def _orphans() -> Iterable[str]:
    storage = file_storage()
    try:
        _, names = storage.listdir(FOLDER)
    except FileNotFoundError:  # no file has come yet
        return
    except NotImplementedError:
        logger.debug("The upload storage cannot list its files: what was sent and never imported stays there.")
        return
    files = {f"{FOLDER}/{name}" for name in names}
    uploads = ImportUpload.objects.using(database()).filter(name__startswith=FOLDER)
    files.difference_update(uploads.values_list("name", flat=True))
    oldest = timezone.now() - IMPORTED_WITHIN - timedelta(hours=1)
    for name in sorted(files)[:DELETED_AT_ONCE]:
        if storage.get_modified_time(name) < oldest:
            yield name
