"""Uploads that are offered to a user: a signed token for one file, and where to send the bytes.

A token names nothing that a client could have made up: it is a fresh uuid, signed together with the user's key. The
uuid becomes the file's name and the batch's, so that a token used twice means the same batch.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.core import signing
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.utils import timezone

from django_healthkit_ingest.exceptions import InvalidEnvelope, InvalidUpload, UnknownUpload
from django_healthkit_ingest.models import ImportBatch, database
from django_healthkit_ingest.pipeline.files import IMPORTED_WITHIN, check_size, file_name, file_storage, file_trouble
from django_healthkit_ingest.pipeline.switches import check_intake

MEDIA_TYPE = "application/octet-stream"
"""Signed along, so it must be sent along: HTTP clients add a media type of their own otherwise."""

SENT_WITHIN = timedelta(hours=1)
"""When the sending must have begun; S3 signs for no longer than a role's credentials live."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """``url`` is the storage's own, for a PUT without our credentials; None: the bytes come to us."""

    token: str
    url: str | None
    expires_at: datetime


def offer_upload(*, user: Any) -> Offer:
    """Raises IntakePaused."""
    check_intake()
    uuid = uuid4()
    return Offer(
        token=_signer(user).sign(str(uuid)), url=_presigned(file_name(uuid)), expires_at=timezone.now() + SENT_WITHIN
    )


def read_token(token: str, *, user: Any, max_age: timedelta = IMPORTED_WITHIN) -> UUID:
    """Raises UnknownUpload for what we did not sign for this user, InvalidUpload for what is too old."""
    try:
        return UUID(_signer(user).unsign(token, max_age=max_age))
    except signing.SignatureExpired:
        raise InvalidUpload("The upload has expired; ask for a new one and send the file again.") from None
    except signing.BadSignature:
        raise UnknownUpload("There is no such upload of yours; ask for one.") from None


def receive(pieces: Iterable[bytes], *, token: str, user: Any) -> None:
    """Store the bytes of an offered upload; sent again before it is imported, they replace the first.

    They are collected in a temporary file, so that what breaks off or is too large never reaches the storage. Raises
    what ``read_token`` raises, BodyTooLarge as soon as it is, InvalidEnvelope for nothing at all, IntakePaused, and
    Unavailable if disk or storage fail.
    """
    check_intake()
    uuid = read_token(token, user=user, max_age=SENT_WITHIN)
    if ImportBatch.objects.using(database()).filter(uuid=uuid).exists():
        raise InvalidUpload("This upload is imported already; ask for a new one.")
    with file_trouble(), TemporaryUploadedFile(name="upload", content_type=None, size=0, charset=None) as file:
        size = 0
        for piece in pieces:
            size += len(piece)
            check_size(size)
            file.write(piece)
        if not size:
            raise InvalidEnvelope("The file is empty; send the export itself.")
        file.flush()
        file.seek(0)
        file.size = size
        _replace(file_name(uuid), file)


def _replace(name: str, file: TemporaryUploadedFile) -> None:
    storage = file_storage()
    if storage.exists(name):
        storage.delete(name)
    saved = storage.save(name, file)
    if saved != name:  # the import could not find it
        storage.delete(saved)
        raise InvalidUpload("Another request was sending this upload at the same time; ask for a new one.")


def _signer(user: Any) -> signing.TimestampSigner:
    """The user is in the salt and not in the token: its URL may be logged."""
    return signing.TimestampSigner(salt=f"healthkit_ingest.upload:{user.pk}")


def _presigned(name: str) -> str | None:
    """For storages over boto3, as django-storages' S3Storage: the file need not pass through a web server."""
    storage: Any = file_storage()
    resource = getattr(storage, "connection", None)
    client = getattr(getattr(resource, "meta", None), "client", None)
    bucket = getattr(storage, "bucket_name", None)
    if client is None or not bucket:
        return None
    key = posixpath.join(getattr(storage, "location", ""), name)
    url: str = client.generate_presigned_url(
        "put_object",
        Params={"Bucket": bucket, "Key": key, "ContentType": MEDIA_TYPE},
        ExpiresIn=int(SENT_WITHIN.total_seconds()),
    )
    return url
