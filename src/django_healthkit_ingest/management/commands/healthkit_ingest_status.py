from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from django_healthkit_ingest.pipeline.backlog import backlog, recent
from django_healthkit_ingest.sqs.depth import dead_letter_count, queue_depths
from django_healthkit_ingest.sqs.queue import QueueUnavailable

WATCH_EVERY = 2.0


class Command(BaseCommand):
    help = "Say whether imports flow: what waits, since when, what the last hour's chunks became, what is paused."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--watch",
            nargs="?",
            type=float,
            const=WATCH_EVERY,
            metavar="SECONDS",
            help=f"again and again, every SECONDS (default: {WATCH_EVERY:g}), until Ctrl-C",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object, with --watch one per line")

    def handle(self, *args: Any, **options: Any) -> None:
        interval = options["watch"]
        with suppress(KeyboardInterrupt):
            while True:
                self._show(_snapshot(), as_json=options["json"], clear=interval is not None)
                if interval is None:
                    return
                time.sleep(interval)

    def _show(self, snapshot: Mapping[str, Any], *, as_json: bool, clear: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(snapshot))
            return
        if clear and self.stdout.isatty():
            self.stdout.write("\033[2J\033[H", ending="")
        self.stdout.write("\n".join(_lines(snapshot)))


def _snapshot() -> dict[str, Any]:
    snapshot: dict[str, Any] = {
        "at": timezone.now().isoformat(timespec="seconds"),
        "backlog": asdict(backlog()),
        "last_hour": asdict(recent()),
        "queues": {},
        "dead_letters": None,
        "queue_error": None,
    }
    try:
        snapshot["queues"] = {name: asdict(depth) for name, depth in queue_depths().items()}
        snapshot["dead_letters"] = dead_letter_count()
    except QueueUnavailable as error:
        snapshot["queue_error"] = str(error)
    return snapshot


def _lines(snapshot: Mapping[str, Any]) -> Iterator[str]:
    backlog, hour = snapshot["backlog"], snapshot["last_hour"]
    yield snapshot["at"]
    for part in backlog["paused"]:
        yield f"PAUSED: {part}; resume with: healthkit_ingest_pause {part} --resume"
    yield from _section("waiting", {name: backlog[name] for name in backlog if name != "paused"})
    for name, depth in snapshot["queues"].items():
        yield from _section(f"queue {name}", depth)
    if snapshot["queues"]:
        yield from _section("dead letters", {"visible": snapshot["dead_letters"]})
    if snapshot["queue_error"]:
        yield snapshot["queue_error"]
    failed = {f"failed: {code}": number for code, number in hour["chunks_failed"].items()}
    chunks = {"completed": hour["chunks_completed"], **failed, "mean_seconds": hour["chunk_seconds"]}
    yield from _section("chunks of the last hour", chunks)
    yield from _section("records of the last hour", hour["samples"])


def _section(title: str, rows: Mapping[str, Any]) -> Iterator[str]:
    yield title
    for name, value in rows.items():
        yield f"  {name.replace('_', ' '):<24}{_shown(value):>14}"


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
