"""The host's choices: one ``HEALTHKIT_INGEST`` dict in Django settings, read into one frozen dataclass.

Nothing else in this package reads ``django.conf.settings`` for its own configuration. The answer is cached and the
cache forgets itself when a test overrides the setting.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver

from django_healthkit_ingest.core.quotas import Quota, parse_quota

SETTING = "HEALTHKIT_INGEST"

SHIPPED_FORMATS = (
    "django_healthkit_ingest.core.formats.healthkit.HealthKitFormat",
    "django_healthkit_ingest.core.formats.flutter.FlutterFormat",
    "django_healthkit_ingest.core.formats.react_native.ReactNativeHealthKitFormat",
    "django_healthkit_ingest.core.formats.open_wearables.OpenWearablesFormat",
    "django_healthkit_ingest.core.formats.health_auto_export.HealthAutoExportFormat",
    "django_healthkit_ingest.core.formats.apple_export.AppleExportFormat",
)

MEASURES = ("requests", "bytes", "records")
QUOTA_NAMES = (*MEASURES, *(f"device_{name}" for name in MEASURES))


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

    idempotency_ttl: timedelta = timedelta(hours=24)
    """How long an ``Idempotency-Key`` is kept. After that the same key means a new request."""

    long_poll: timedelta = timedelta(seconds=20)
    """The longest that ``?wait=`` holds a request open. Keep it below the time-outs of the load balancer and of the web
    server's workers."""

    long_polls_at_once: int = 2
    """Requests of one process that may be held open at once; further ones are answered at once, with ``Retry-After``.
    Keep it below the threads a process has, or waiting phones keep out sending ones. 0: none is held open."""

    chunk_size: int = 5000
    """Records per chunk: the unit of work, of retry and of transaction. What a chunk costs apart from its records is
    then a tenth of the whole. A chunk takes a fifth of a second or so; smaller ones let other users in sooner."""

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

    consent: str | None = None
    """Dotted path of a function that takes a user's primary key and answers the types this user has switched off, by
    identifier or alias. Records of those types are dropped before they are stored, and counted as ``withheld``. None:
    our own table, which the doors write. Asked once per chunk, in the worker."""

    contract: str | None = None
    """Dotted path of a function that takes a user and the id of an app installation (or None) and answers a
    ``core.contract.Contract``, or a dict of its fields: what this app should send next. None: everything."""

    rate_limiting_enabled: bool = True
    """Whether the doors count what comes in. False: the cache is never asked."""

    rate_limits: Mapping[str, str] = field(
        default_factory=lambda: {"requests": "600/min", "bytes": "2000000000/hour", "records": "5000000/hour"}
    )
    """How much one user may send: ``requests``, ``bytes`` (as sent) and ``records``, each a number and a time. The same
    names with ``device_`` before them are per app installation. A name that is missing has no limit."""

    rate_limit_cache: str = "default"
    """Alias in ``CACHES`` of the cache that holds the buckets: Redis, or local memory on one's own machine."""

    rate_limit_on_cache_failure: str = "allow"
    """What becomes of requests while that cache cannot be asked: ``allow`` them uncounted, since losing a limit for a
    while is better than losing data, or ``deny`` them with 503 and ``Retry-After``."""

    export_retention: timedelta = timedelta(days=7)
    """How long the file of a user's export can be fetched."""

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
        durations = ("stale_after", "publish_timeout", "idempotency_ttl", "long_poll", "export_retention")
        for name in (*durations, "payload_retention", "max_backlog_age"):
            value = getattr(self, name)
            if value is None and name in ("payload_retention", "max_backlog_age"):
                continue
            if not isinstance(value, timedelta) or value <= timedelta(0):
                raise ImproperlyConfigured(f"{SETTING}[{name.upper()!r}] must be a timedelta above 0.")
        if self.long_polls_at_once != 0 and not _is_positive_int(self.long_polls_at_once):
            raise ImproperlyConfigured(f"{SETTING}['LONG_POLLS_AT_ONCE'] must be a whole number, or 0.")
        for name in ("rate_limiting_enabled", "sqs_guards"):
            if not isinstance(getattr(self, name), bool):
                raise ImproperlyConfigured(f"{SETTING}[{name.upper()!r}] must be True or False.")
        self.quotas()
        if self.rate_limit_on_cache_failure not in ("allow", "deny"):
            raise ImproperlyConfigured(f"{SETTING}['RATE_LIMIT_ON_CACHE_FAILURE'] must be 'allow' or 'deny'.")
        if not _is_name(self.rate_limit_cache):
            raise ImproperlyConfigured(f"{SETTING}['RATE_LIMIT_CACHE'] must be the name of an entry in CACHES.")
        if not _is_name(self.upload_storage):
            raise ImproperlyConfigured(f"{SETTING}['UPLOAD_STORAGE'] must be the name of an entry in STORAGES.")
        if not isinstance(self.queues, Mapping):
            raise ImproperlyConfigured(
                f"{SETTING}['QUEUES'] must be a dict of task name (or 'default', 'backfill') to queue."
            )
        for name in ("source_precedence", "consent", "contract"):
            if not isinstance(getattr(self, name), str | None):
                raise ImproperlyConfigured(f"{SETTING}[{name.upper()!r}] must be a function's dotted path, or None.")
        if not isinstance(self.heartbeat_file, str | Path | None):
            raise ImproperlyConfigured(f"{SETTING}['HEARTBEAT_FILE'] must be a path, '' or None.")

    def quotas(self) -> Mapping[str, Quota]:
        """``rate_limits``, read. Raises ImproperlyConfigured."""
        if not isinstance(self.rate_limits, Mapping):
            raise ImproperlyConfigured(f"{SETTING}['RATE_LIMITS'] must be a dict of name to quota.")
        if unknown := set(self.rate_limits) - set(QUOTA_NAMES):
            raise ImproperlyConfigured(
                f"{SETTING}['RATE_LIMITS'] has no limit {min(map(str, unknown))!r}. It knows {', '.join(QUOTA_NAMES)}."
            )
        try:
            return {name: parse_quota(text) for name, text in self.rate_limits.items()}
        except ValueError as error:
            raise ImproperlyConfigured(f"{SETTING}['RATE_LIMITS']: {error}.") from error


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


@receiver(setting_changed)
def _forget(*, setting: str, **kwargs: object) -> None:
    if setting == SETTING:
        get_settings.cache_clear()
