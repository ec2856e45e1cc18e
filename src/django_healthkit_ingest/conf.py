"""The host's choices: one ``HEALTHKIT_INGEST`` dict in Django settings, read into one frozen dataclass.

Nothing else in this package reads ``django.conf.settings`` for its own configuration. The answer is cached and the
cache forgets itself when a test overrides the setting.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.module_loading import import_string

from django_healthkit_ingest.core.formats.base import Format
from django_healthkit_ingest.core.precedence import MAX_PRECEDENCE, precedence
from django_healthkit_ingest.core.registry import SampleTypeRegistry, shipped_registry
from django_healthkit_ingest.core.samples import Source
from django_healthkit_ingest.exceptions import HealthKitIngestError, MalformedBody, UnknownFormat

SETTING = "HEALTHKIT_INGEST"

SHIPPED_FORMATS = (
    "django_healthkit_ingest.core.formats.healthkit.HealthKitFormat",
    "django_healthkit_ingest.core.formats.flutter.FlutterFormat",
    "django_healthkit_ingest.core.formats.react_native.ReactNativeHealthKitFormat",
    "django_healthkit_ingest.core.formats.open_wearables.OpenWearablesFormat",
    "django_healthkit_ingest.core.formats.health_auto_export.HealthAutoExportFormat",
    "django_healthkit_ingest.core.formats.apple_export.AppleExportFormat",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings:
    """Every key of ``HEALTHKIT_INGEST``, in lower case, with its default."""

    formats: tuple[str, ...] = SHIPPED_FORMATS
    """Dotted paths of the wire formats to accept, asked in this order when a request names none."""

    max_body_bytes: int = 10 * 2**20
    """Largest request body, in bytes as sent (compressed, if it is). Larger ones are answered 413, ``SPLIT``."""

    max_decoded_bytes: int = 100 * 2**20
    """Largest body after decompression, in bytes. Decompression stops there, so a bomb costs no more than this."""

    max_upload_bytes: int = 8 * 2**30
    """Largest uploaded file, in bytes. A larger one is refused while it arrives, with 413."""

    upload_storage: str = "default"
    """Alias in ``STORAGES`` of the storage that holds uploaded files until they are cut into chunks. All web servers
    and workers must reach it, and nobody else: choose one whose files have no public URL."""

    chunk_size: int = 1000
    """Records per chunk: the unit of work, of retry and of transaction."""

    dispatch_window: int = 2
    """Chunks of one user and lane that may be in flight at once, so that no backfill stands before other users."""

    max_attempts: int = 5
    """Claims after which a chunk that never ends is marked FAILED. Keep the queue's ``maxReceiveCount`` at or above."""

    stale_after: timedelta = timedelta(minutes=30)
    """A message sent this long ago without a sign of life counts as lost; sweep sends another. Keep it above the
    queue's visibility timeout plus the normal wait in the queue. The patience doubles at each re-send."""

    max_pending_records_per_user: int | None = 20_000_000
    """Records of one user that may be waiting for the workers. While as many are, that user's next body or file is
    answered 429 ``user_backlog_full``, to be sent later; None: no limit."""

    max_backlog_age: timedelta | None = timedelta(hours=1)
    """How long chunks may have been waiting for a worker. Beyond it everybody is answered 503 ``backlog_full``, to send
    later, until the workers have caught up; None: no limit. A handful of stuck chunks is no backlog and does not count.
    """

    queues: Mapping[str, str] = field(default_factory=lambda: {"default": "apple-health-imports"})
    """Queue per task name, or ``default`` for all of ours; ``backfill``, if there, is the queue of all work in the
    BACKFILL lane. Where it is silent (``{}``) the host's ``CELERY_TASK_ROUTES`` decide."""

    publish_timeout: timedelta = timedelta(seconds=2)
    """How long accept waits for the broker. After that the answer is still 202 and sweep sends the message."""

    sample_types: tuple[Mapping[str, Any], ...] | str | Path = ()
    """Extra or overriding rows of the type catalogue, or the path of a JSON file that holds them."""

    source_precedence: str | None = None
    """Dotted path of a function that takes a ``core.samples.Source`` and says how much it is trusted, from 1 (the most)
    to 32767; None: Apple's watch 1, Apple's phone 2, everything else 3. Asked when a source is first seen; sources that
    are stored keep theirs."""

    payload_retention: timedelta | None = timedelta(days=30)
    """How long the raw chunks of a finished batch are kept for replay; None keeps them."""

    sqs_guards: bool = True
    """Whether a worker on SQS repairs the known defects of kombu's SQS transport (how-to/celery-on-sqs)."""

    heartbeat_file: str | Path | None = None
    """The file a worker touches each time its poll loop comes round, for the container's health check (how-to/monitor).
    None: ``healthkit-ingest-heartbeat`` in the temporary directory; ``""``: no file. Workers side by side on one
    machine need one each."""

    def __post_init__(self) -> None:
        numbers = ("max_body_bytes", "max_decoded_bytes", "max_upload_bytes", "max_pending_records_per_user")
        for name in (*numbers, "chunk_size", "dispatch_window", "max_attempts"):
            if getattr(self, name) is None and name == "max_pending_records_per_user":
                continue
            if not _is_positive_int(getattr(self, name)):
                raise ImproperlyConfigured(f"{SETTING}[{name.upper()!r}] must be a whole number above 0.")
        for name in ("stale_after", "publish_timeout", "payload_retention", "max_backlog_age"):
            value = getattr(self, name)
            if value is None and name in ("payload_retention", "max_backlog_age"):
                continue
            if not isinstance(value, timedelta) or value <= timedelta(0):
                raise ImproperlyConfigured(f"{SETTING}[{name.upper()!r}] must be a timedelta above 0.")
        if not _is_name(self.upload_storage):
            raise ImproperlyConfigured(f"{SETTING}['UPLOAD_STORAGE'] must be the name of an entry in STORAGES.")
        if not isinstance(self.queues, Mapping):
            raise ImproperlyConfigured(
                f"{SETTING}['QUEUES'] must be a dict of task name (or 'default', 'backfill') to queue."
            )
        if not isinstance(self.source_precedence, str | None):
            raise ImproperlyConfigured(f"{SETTING}['SOURCE_PRECEDENCE'] must be a function's dotted path, or None.")
        if not isinstance(self.sqs_guards, bool):
            raise ImproperlyConfigured(f"{SETTING}['SQS_GUARDS'] must be True or False.")
        if not isinstance(self.heartbeat_file, str | Path | None):
            raise ImproperlyConfigured(f"{SETTING}['HEARTBEAT_FILE'] must be a path, '' or None.")


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_positive_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


@lru_cache(maxsize=1)
def get_settings() -> IngestSettings:
    """The host's settings. Raises ImproperlyConfigured for a key we do not know, naming the nearest one."""
    given = getattr(settings, SETTING, {})
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"{SETTING} must be a dict.")
    known = {item.name.upper(): item.name for item in fields(IngestSettings)}
    for key in given:
        if key not in known:
            nearest = difflib.get_close_matches(str(key).upper(), known, n=1)
            hint = f" Did you mean {nearest[0]!r}?" if nearest else f" It knows {', '.join(sorted(known))}."
            raise ImproperlyConfigured(f"{SETTING} has no setting {key!r}.{hint}")
    chosen = {known[key]: value for key, value in given.items()}
    for name in ("formats", "sample_types"):
        if isinstance(chosen.get(name), list):
            chosen[name] = tuple(chosen[name])
    return IngestSettings(**chosen)


@lru_cache(maxsize=1)
def get_registry() -> SampleTypeRegistry:
    """The shipped sample types with the host's rows laid over them."""
    rows = get_settings().sample_types
    if isinstance(rows, str | Path):
        rows = tuple(json.loads(Path(rows).read_text(encoding="utf-8")))
    if not rows:
        return shipped_registry()
    try:
        return shipped_registry().extended(rows)
    except (HealthKitIngestError, ValueError) as error:
        raise ImproperlyConfigured(f"{SETTING}['SAMPLE_TYPES']: {error}") from error


@lru_cache(maxsize=1)
def get_precedence() -> Callable[[Source], int]:
    """How much a source is trusted; calling it raises ImproperlyConfigured if the host's function answers nonsense."""
    path = get_settings().source_precedence
    if path is None:
        return precedence
    place = f"{SETTING}['SOURCE_PRECEDENCE']"
    try:
        chosen = import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(f"{place}: cannot import {path!r}: {error}") from error
    if not callable(chosen):
        raise ImproperlyConfigured(f"{place}: {path!r} is no function.")

    def checked(source: Source) -> int:
        answer = chosen(source)
        if not _is_positive_int(answer) or answer > MAX_PRECEDENCE:
            raise ImproperlyConfigured(f"{place}: {path!r} must answer a whole number from 1 to {MAX_PRECEDENCE}.")
        return int(answer)

    return checked


@lru_cache(maxsize=1)
def get_formats() -> Mapping[str, Format]:
    """The wire formats by name, in the order they are asked to recognise a body."""
    formats: dict[str, Format] = {}
    for path in get_settings().formats:
        try:
            instance: Format = import_string(path)()
        except ImportError as error:
            raise ImproperlyConfigured(f"{SETTING}['FORMATS']: cannot import {path!r}: {error}") from error
        if instance.name in formats:
            raise ImproperlyConfigured(f"{SETTING}['FORMATS'] names the format {instance.name!r} twice.")
        formats[instance.name] = instance
    return formats


def get_format(name: str) -> Format:
    """Raises UnknownFormat, naming the formats there are."""
    formats = get_formats()
    if name not in formats:
        raise UnknownFormat(f"Use one of these formats: {', '.join(formats)}.")
    return formats[name]


def find_format(body: bytes, *, name: str | None) -> Format:
    """The format of that name, or without one the only format that recognises the body.

    Raises UnknownFormat, or MalformedBody if it is no format's because it is not JSON.
    """
    if name is not None:
        return get_format(name)
    candidates = [wire for wire in get_formats().values() if wire.recognises(body)]
    if len(candidates) == 1:
        return candidates[0]
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise MalformedBody("Send one well-formed JSON document.") from None
    raise UnknownFormat(f"No format recognises the body; name one of: {', '.join(get_formats())}.")


@receiver(setting_changed)
def _forget(*, setting: str, **kwargs: object) -> None:
    if setting == SETTING:
        for cached in (get_settings, get_registry, get_precedence, get_formats):
            cached.cache_clear()
