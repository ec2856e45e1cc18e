"""Progress as a team sees it: read from its own database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from django.core.management import call_command
from django.db.models import Count, Q, Sum
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from django_healthkit_ingest.models import ImportBatch, ImportChunk

EVERY_SECONDS = 0.25
SWEEP_SECONDS = 15.0
STALLED_SECONDS = 120.0


class Stalled(RuntimeError):
    """Nothing has moved for STALLED_SECONDS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    processed: int
    inserted: int
    duplicate: int
    rejected: int
    open_batches: int


def read(users: Iterable[Any]) -> Progressed:
    chunks = ImportChunk.objects.filter(user__in=users, status="COMPLETED").aggregate(
        **{name: Sum(name, default=0) for name in ("received", "inserted", "duplicate", "rejected")}
    )
    batches = ImportBatch.objects.filter(user__in=users).aggregate(open=Count("pk", filter=Q(finished_at__isnull=True)))
    processed = chunks.pop("received")
    return Progressed(processed=processed, open_batches=batches["open"], **chunks)


def watch(
    posts: list[Future[Any]],
    *,
    title: str,
    users: list[Any],
    records: int,
    console: Console,
    is_alive: Callable[[], bool],
) -> Progressed:
    """Show bars until every post is answered and every batch closed. Raises a post's error, or Stalled."""
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    console.print(title)
    with Progress(*columns, console=console) as progress:
        accepted = progress.add_task("accepted", total=len(posts), note="")
        processed = progress.add_task("processed", total=records, note="")
        before = read(users).processed
        moved = swept = time.monotonic()
        last: Progressed | None = None
        while True:
            answered = [post for post in posts if post.done()]
            for post in answered:
                post.result()
            now = read(users)
            progress.update(accepted, completed=len(answered))
            note = f"{now.inserted} new, {now.duplicate} known, {now.rejected} bad"
            progress.update(processed, completed=now.processed - before, note=note)
            if len(answered) == len(posts) and now.open_batches == 0:
                return now
            if now != last:
                last, moved = now, time.monotonic()
            if not is_alive() or time.monotonic() - moved > STALLED_SECONDS:
                raise Stalled(f"{now.open_batches} imports are open and nothing moves.")
            if time.monotonic() - swept > SWEEP_SECONDS:
                call_command("healthkit_ingest_sweep", verbosity=0, stdout=Silence())
                swept = time.monotonic()
            time.sleep(EVERY_SECONDS)


class Silence:
    """For the sweep's report, which would break the bars."""

    def write(self, text: str) -> int:
        return len(text)
