"""An export.xml from the first byte of the file to its last row, with two workers, against ``healthkit-to-sqlite``."""

from __future__ import annotations

import os
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from django.contrib.auth import get_user_model
from django.core.files import File

from benchmarks.measure import Figure, ratio, typical
from benchmarks.processes import cpu_seconds
from benchmarks.sections import Scale
from benchmarks.services import worker
from benchmarks.xml_file import Contents, write_export
from django_healthkit_ingest.core.states import FINAL, Status
from django_healthkit_ingest.models import HealthSample, Statistic
from django_healthkit_ingest.pipeline.upload import accept_upload
from django_healthkit_ingest.queues import connect
from example_project.services.sqs import SQS

MEGABYTES = {Scale.QUICK: 1, Scale.NORMAL: 50, Scale.FULL: 500}
ROUNDS = {Scale.QUICK: 1, Scale.NORMAL: 3, Scale.FULL: 2}
PROCESSES = 2
PATIENCE = 900
"""Seconds."""
BREATH = 0.05
_BASELINE = "healthkit-to-sqlite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    seconds: float
    cpu: float
    """Seconds of the processor, of all processes that had a part in it."""


def figures(sqs: SQS, folder: Path, *, scale: Scale) -> Iterator[Figure]:
    path = folder / "export.xml"
    ours: list[Cost] = []
    theirs: list[Cost] = []
    connect()
    with worker(sqs, concurrency=PROCESSES):
        import_file(path, write_export(path, megabytes=1))  # both processes have their connections and caches
        contents = write_export(path, megabytes=MEGABYTES[scale])
        for turn in range(ROUNDS[scale]):
            if turn % 2:
                ours.append(import_file(path, contents))
            theirs.append(convert_to_sqlite(path, contents))
            if not turn % 2:
                ours.append(import_file(path, contents))
    path.unlink()
    of, to = [each.seconds for each in ours], [each.seconds for each in theirs]
    yield ratio("xml.vs_healthkit_to_sqlite", of=of, to=to, baseline=_BASELINE, target=2)
    cpu = [each.cpu for each in ours]
    yield ratio("xml.cpu_vs_healthkit_to_sqlite", of=cpu, to=[each.cpu for each in theirs], baseline=_BASELINE)
    what = f"{MEGABYTES[scale]} MB, {PROCESSES} of a worker"
    yield typical("xml.import_seconds", of, unit="s", baseline=what)
    yield typical("xml.import_cpu_seconds", cpu, unit="s", baseline=f"{what}, PostgreSQL and SQS with it")
    yield typical("xml.healthkit_to_sqlite_seconds", to, unit="s", baseline=f"{MEGABYTES[scale]} MB")
    rates = [contents.records / each for each in of]
    yield typical("xml.records_per_s", rates, unit="/s", baseline=what)


def import_file(path: Path, contents: Contents) -> Cost:
    """By a user of their own. Raises RuntimeError if not all of it is stored in time."""
    user = get_user_model().objects.create_user(secrets.token_hex(6))
    cpu, own, started = cpu_seconds(), time.process_time(), time.monotonic()
    with path.open("rb") as file:
        batch = accept_upload(File(file), user=user)
    while Status(batch.status) not in FINAL:
        if time.monotonic() - started > PATIENCE:
            raise RuntimeError(f"The file was not imported within {PATIENCE} s")
        time.sleep(BREATH)
        batch.refresh_from_db(fields=["status"])
    took = time.monotonic() - started
    spent = (cpu_seconds() - cpu).total() + time.process_time() - own
    samples = HealthSample.objects.for_user(user).count()
    statistics = Statistic.objects.filter(user=user).count()
    expected = (contents.records + contents.correlations + contents.workouts, contents.summaries)
    if (batch.status, samples, statistics) != (Status.COMPLETED, *expected):
        raise RuntimeError(f"{samples} samples and {statistics} statistics are stored, not {expected}")
    return Cost(seconds=took, cpu=spent)


def convert_to_sqlite(path: Path, contents: Contents) -> Cost:
    """Raises RuntimeError if not all of it is there, and CalledProcessError."""
    database = path.with_suffix(".db")
    command = [sys.executable, "-c", "from healthkit_to_sqlite.cli import cli; cli()", "--silent", "--xml"]
    before, started = os.times(), time.monotonic()
    subprocess.run([*command, path, database], check=True)
    took, after = time.monotonic() - started, os.times()
    rows = _rows(database)
    database.unlink()
    expected = contents.records + contents.inner_records + contents.workouts + contents.summaries
    if rows != expected:
        raise RuntimeError(f"healthkit-to-sqlite wrote {rows} rows, not {expected}")
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return Cost(seconds=took, cpu=cpu)


def _rows(path: Path) -> int:
    """Of all tables of elements."""
    with closing(sqlite3.connect(path)) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return sum(database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names)
