"""What only a look at the running services shows: database, cache, storage, and work that nobody takes up.

Nothing that an exception says is repeated, only its type: an address or a query may be in its text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import WARNING, run_checks
from django.core.files.base import ContentFile
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.core.states import Pausable, Status
from django_healthkit_ingest.models import ImportBatch, ImportChunk, database
from django_healthkit_ingest.pipeline.files import FOLDER, file_storage
from django_healthkit_ingest.pipeline.switches import is_paused

APP = "healthkit_ingest"
OVERDUE = timedelta(minutes=10)
"""A sweep runs every minute or two; what it should have freed this long ago says that none runs."""

PROBE = b"a probe of healthkit_ingest_doctor"


class Verdict(StrEnum):
    OK = "OK"
    CURE = "CURE"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    name: str
    verdict: Verdict
    text: str
    """What is so, what to do, or why it was not looked at."""


def ok(name: str, text: str) -> Finding:
    return Finding(name=name, verdict=Verdict.OK, text=text)


def cure(name: str, text: str) -> Finding:
    return Finding(name=name, verdict=Verdict.CURE, text=text)


def skipped(name: str, text: str) -> Finding:
    return Finding(name=name, verdict=Verdict.SKIPPED, text=text)


def examine_services() -> Iterator[Finding]:
    yield from examined("checks", look_at_checks, advice="Run manage.py check.")
    yield from examined("database", look_at_database, advice="Check DATABASES, the server and its security group.")
    yield from examined("cache", look_at_cache, advice="Check CACHES, the server and its security group.")
    yield from examined("storage", look_at_storage, advice="Check STORAGES and what this role may do in the bucket.")
    yield from examined("work", look_at_work, advice="Mend the database first.")


def examined(name: str, look: Callable[[], Iterable[Finding]], *, advice: str) -> Iterator[Finding]:
    """What is found until something raises, and that it did."""
    try:
        yield from look()
    except Exception as error:  # noqa: BLE001 - a backend may raise anything, and what it raises is the finding
        yield cure(name, f"{type(error).__name__}. {advice}")


def look_at_checks() -> Iterator[Finding]:
    """The system checks; those of ``--deploy`` too where the host runs for others."""
    messages = run_checks(tags=[APP], include_deployment_checks=not settings.DEBUG, databases=[database()])
    found = [message for message in messages if message.is_serious(WARNING) and not message.is_silenced()]
    for message in found:
        yield cure(str(message.id).removeprefix(f"{APP}."), f"{message.msg} {message.hint or ''}".strip())
    if not found:
        yield ok("checks", "nothing to say")


def look_at_database() -> Iterator[Finding]:
    connection: Any = connections[database()]
    connection.ensure_connection()
    yield ok("database", f"{connection.display_name} answers")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SHOW default_transaction_isolation")
            (level,) = cursor.fetchone()
        if level == "read committed":
            yield ok("isolation", level)
        else:
            yield cure("isolation", f"Sessions begin at {level}: let role and database default to 'read committed'.")
    executor = MigrationExecutor(connection)
    targets = [node for node in executor.loader.graph.leaf_nodes() if node[0] == APP]
    waiting = len(executor.migration_plan(targets))
    if waiting:
        yield cure("migrations", f"Run manage.py migrate: {waiting} are not applied.")
    else:
        yield ok("migrations", "applied")


def look_at_cache() -> Iterator[Finding]:
    if is_process_local_cache():
        yield skipped("cache", "it is this process's own memory")
        return
    cache = caches["default"]
    key = f"{APP}.doctor.{uuid4()}"
    cache.set(key, "1", timeout=60)
    if cache.get(key) == "1":
        yield ok("cache", "writes, reads and deletes")
    else:
        yield cure("cache", "What was written is not there: check the cache's memory limit and its replicas.")
    cache.delete(key)


def look_at_storage() -> Iterator[Finding]:
    storage = file_storage()
    # In the folder of uploads: what this role may do there is the question, and sweep removes what a crash leaves.
    name = storage.save(f"{FOLDER}/doctor-{uuid4()}", ContentFile(PROBE))
    with storage.open(name) as file:
        content = file.read()
    storage.delete(name)
    if content == PROBE and not storage.exists(name):
        yield ok("storage", "writes, reads and deletes")
    else:
        yield cure("storage", "What was written is not what is read or deleted: choose a consistent UPLOAD_STORAGE.")


def look_at_work() -> Iterator[Finding]:
    using = database()
    now = timezone.now()
    overdue = ImportChunk.objects.using(using).filter(status=Status.PROCESSING, lease_until__lt=now - OVERDUE).count()
    overdue += ImportBatch.objects.using(using).closable().filter(created_at__lt=now - OVERDUE).count()
    if overdue:
        yield cure("sweep", f"Schedule manage.py healthkit_ingest_sweep: {overdue} chunks or imports wait for one.")
    else:
        yield ok("sweep", "nothing waits for one")
    if is_paused(Pausable.PROCESSING):
        yield skipped("work", "processing is paused")
        return
    cutoff = now - get_settings().stale_after
    waiting = ImportBatch.objects.using(using).open()
    stale = waiting.filter(created_at__lt=cutoff).count()
    if stale and not waiting.filter(chunks__claimed_at__gte=cutoff).exists():
        minutes = int(get_settings().stale_after.total_seconds() // 60)
        yield cure("work", f"Start a worker, or read its log: in {minutes} min none took up the {stale} open imports.")
    else:
        yield ok("work", f"{waiting.count()} open imports")


def is_process_local_cache() -> bool:
    return type(caches["default"]) in {LocMemCache, DummyCache}
