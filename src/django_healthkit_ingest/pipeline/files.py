"""Uploaded files in the host's storage: where they lie and how they go."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.core.files import File
from django.core.files.storage import Storage, storages

from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.exceptions import BodyTooLarge, HealthKitIngestError, InvalidEnvelope, Unavailable
from django_healthkit_ingest.pipeline.problems import KEEP, RETRY_AFTER

logger = logging.getLogger("django_healthkit_ingest")

FOLDER = "healthkit_ingest/uploads"

IMPORTED_WITHIN = timedelta(days=1)
"""When the import of a file that has arrived must have been asked for. Older files without a batch are deleted."""


def file_storage() -> Storage:
    """Raises InvalidStorageError (an ImproperlyConfigured) when ``STORAGES`` has no such alias."""
    return storages[get_settings().upload_storage]


@contextmanager
def file_trouble() -> Iterator[None]:
    """Whatever a storage or a disk has to complain of is Unavailable: each storage has errors of its own, and none of
    them is a reason for a client to throw its file away."""
    try:
        yield
    except (HealthKitIngestError, ImproperlyConfigured):
        raise
    except Exception as error:
        logger.error("The storage of uploads is away (%s): asked the client to come back.", type(error).__name__)
        raise Unavailable(KEEP, retry_after=RETRY_AFTER) from error


def file_name(upload: UUID) -> str:
    """The uuid is the batch's; it is the file's only name, because the phone's may be a person's."""
    return f"{FOLDER}/{upload}"


def delete_files(names: Iterable[str]) -> None:
    """A file that is gone already is no error."""
    storage = file_storage()
    for name in names:
        storage.delete(name)


def measure(file: File[bytes]) -> tuple[int, str]:
    """Bytes and SHA-256, read once through. Raises BodyTooLarge, and InvalidEnvelope for nothing at all."""
    digest = hashlib.sha256()
    size = 0
    for piece in file.chunks():
        digest.update(piece)
        size += len(piece)
        check_size(size)
    if not size:
        raise InvalidEnvelope("The file is empty; send the export itself.")
    return size, digest.hexdigest()


def check_size(size: int) -> None:
    if size > get_settings().max_upload_bytes:
        raise BodyTooLarge("The file is larger than this server takes; ask its operator, or send a shorter period.")
