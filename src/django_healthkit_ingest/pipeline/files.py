"""Uploaded files in the host's storage: where they lie and how they go."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.core.files import File
from django.core.files.storage import Storage, storages

from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.exceptions import BodyTooLarge, InvalidEnvelope

FOLDER = "healthkit_ingest/uploads"

IMPORTED_WITHIN = timedelta(days=1)
"""When the import of a file that has arrived must have been asked for. Older files without a batch are deleted."""


def file_storage() -> Storage:
    """Raises InvalidStorageError (an ImproperlyConfigured) when ``STORAGES`` has no such alias."""
    return storages[get_settings().upload_storage]


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
