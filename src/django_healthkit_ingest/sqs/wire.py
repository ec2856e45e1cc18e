"""What may be told of a message: its task and the ids in it. Everything else stays unread or unsaid."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from django_healthkit_ingest.queues import DISPATCH_BATCH, ERASE, EXPORT, PROCESS_CHUNK, SPLIT_UPLOAD, SWEEP

ID_OF: Mapping[str, str | None] = MappingProxyType(
    {
        DISPATCH_BATCH: "batch_id",
        PROCESS_CHUNK: "chunk_id",
        SPLIT_UPLOAD: "upload_id",
        ERASE: "erasure_id",
        EXPORT: "export_id",
        SWEEP: None,
    }
)
"""The one argument of each of our tasks that says what it works on."""

TASK_NAME = re.compile(r"[A-Za-z0-9_.]{1,128}")
TASK_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


class Kind(StrEnum):
    OURS = "ours"
    FOREIGN = "foreign"
    """Celery's, for a task of somebody else."""
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    kind: Kind
    task: str = ""
    task_id: str = ""
    subject: int | None = None
    """The id of the chunk, upload, batch, erasure or export; the sweep has none."""


def read(text: str) -> Content:
    """Never raises: what is no message of Celery's, or one of ours with other arguments than ours, is UNREADABLE.

    Only JSON is read; a pickled body is never opened.
    """
    try:
        envelope = json.loads(text if text.lstrip().startswith("{") else base64.b64decode(text, validate=True))
        task, task_id = envelope["headers"]["task"], envelope["headers"]["id"]
        if not (TASK_NAME.fullmatch(task) and TASK_ID.fullmatch(task_id)):
            return Content(kind=Kind.UNREADABLE)
        if task not in ID_OF:
            return Content(kind=Kind.FOREIGN, task=task, task_id=task_id)
        subject = _subject(envelope, name=ID_OF[task])
    except (ValueError, TypeError, LookupError, RecursionError):
        return Content(kind=Kind.UNREADABLE)
    return Content(kind=Kind.OURS, task=task, task_id=task_id, subject=subject)


def _subject(envelope: Any, *, name: str | None) -> int | None:
    if name is None:
        return None
    body = envelope["body"]
    if envelope["properties"]["body_encoding"] == "base64":
        body = base64.b64decode(body, validate=True)
    _, named, _ = json.loads(body)
    if type(named[name]) is not int:
        raise TypeError
    return int(named[name])
