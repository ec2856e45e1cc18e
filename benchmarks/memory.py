"""The most memory that a process took for a small file and for one ten times as large.

``python -m benchmarks.memory FILE`` cuts a file into chunks, here and alone, and prints its records and kilobytes.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import django

from benchmarks.measure import Figure, ratio, typical
from benchmarks.processes import peak, peak_below
from benchmarks.sections import Scale
from benchmarks.xml_file import Contents, write_export
from example_project.services.sqs import SQS

MEGABYTES = {Scale.QUICK: (1, 4), Scale.NORMAL: (10, 100), Scale.FULL: (50, 500)}
ROUNDS = {Scale.QUICK: 1, Scale.NORMAL: 3, Scale.FULL: 3}
"""Of splitting; workers import each file once."""


def figures(sqs: SQS, folder: Path, *, scale: Scale) -> Iterator[Figure]:
    sizes = MEGABYTES[scale]
    files = [(path := folder / f"{size}.xml", write_export(path, megabytes=size)) for size in sizes]
    rounds = [[peak_of_split(*file) for file in files] for _ in range(ROUNDS[scale])]
    yield from _compared("memory", rounds, sizes=sizes, whose="split")
    rounds = [[peak_of_worker(sqs, *file) for file in files]]
    yield from _compared("memory.worker", rounds, sizes=sizes, whose="a worker")
    for path, _ in files:
        path.unlink()


def peak_of_split(path: Path, contents: Contents) -> float:
    """Megabytes. Raises RuntimeError if not all records are in chunks, and CalledProcessError."""
    done = subprocess.run([sys.executable, "-m", "benchmarks.memory", path], check=True, stdout=subprocess.PIPE)
    records, kilobytes = map(int, done.stdout.split())
    expected = contents.records + contents.correlations + contents.workouts + contents.summaries
    if records != expected:
        raise RuntimeError(f"The file has {expected} records, {records} are in chunks")
    return kilobytes / 1000


def peak_of_worker(sqs: SQS, path: Path, contents: Contents) -> float:
    """Megabytes of the largest process of a new worker that imports the file."""
    from benchmarks.services import worker
    from benchmarks.xml_import import PROCESSES, import_file

    with worker(sqs, concurrency=PROCESSES) as process:
        import_file(path, contents)
        return peak_below(process.pid) / 1000


def _compared(name: str, rounds: list[list[float]], *, sizes: tuple[int, int], whose: str) -> Iterator[Figure]:
    small, large = ([each[place] for each in rounds] for place in (0, 1))
    what = f"{sizes[1]} MB against {sizes[0]} MB"
    separator = "." if "." not in name else "_"
    yield ratio(
        f"{name}{separator}500_vs_50", of=small, to=large, baseline=f"{whose}, {what}", target=1.1, at_least=False
    )
    yield typical(f"{name}{separator}megabytes", large, unit="MB", baseline=f"{whose}, {sizes[1]} MB")


def split_alone(path: Path) -> int:
    """How many records the chunks hold."""
    from django.contrib.auth import get_user_model
    from django.core.files import File

    from django_healthkit_ingest import queues
    from django_healthkit_ingest.pipeline.split import split
    from django_healthkit_ingest.pipeline.upload import accept_upload

    user = get_user_model().objects.create_user(secrets.token_hex(6))
    with queues.captured() as messages, path.open("rb") as file:
        batch = accept_upload(File(file), user=user)
        while messages:
            message = messages.popleft()
            if message.name == queues.SPLIT_UPLOAD:
                split(upload_id=message.ids["upload_id"], task_id="benchmark")
    batch.refresh_from_db()
    return batch.received


def main() -> None:
    django.setup()
    sys.stdout.write(f"{split_alone(Path(sys.argv[1]))} {peak(os.getpid())}\n")


if __name__ == "__main__":
    main()
