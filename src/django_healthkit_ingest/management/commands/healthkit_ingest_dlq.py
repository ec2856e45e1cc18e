from __future__ import annotations

import json
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Collection
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from django_healthkit_ingest.queues import connect
from django_healthkit_ingest.sqs.causes import Cause, causes_of
from django_healthkit_ingest.sqs.dead_letters import WORK, DeadLetter, delete, held, move, replay
from django_healthkit_ingest.sqs.queue import DeadLetterQueue, QueueUnavailable, dead_letter_queues
from django_healthkit_ingest.sqs.wire import ID_OF

LISTED = 200
COLUMNS = ("id", "task", "receives", "age", "batch", "status", "error")


class Command(BaseCommand):
    help = "Messages that were given up: what failed and why, back to work, or away. No payload is ever printed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="what failed, and why")
        listing.add_argument("--limit", type=int, default=LISTED, metavar="N", help=f"at most so many ({LISTED})")
        show = actions.add_parser("show", help="all that may be said of one message")
        show.add_argument("id", metavar="ID")
        again = actions.add_parser("replay", help="back to work, where there is work left; the message is then deleted")
        again.add_argument("--raw", action="store_true", help="send those that are not ours back as they are")
        again.add_argument("--move", action="store_true", help="with --all: send all back as they are, by SQS itself")
        purge = actions.add_parser("purge", help="delete messages; the rows stay as they are")
        purge.add_argument("--yes", action="store_true", help="needed with --all")
        for chosen in (again, purge):
            chosen.add_argument("ids", nargs="*", metavar="ID")
            chosen.add_argument("--all", action="store_true")
        for action in (listing, show, again, purge):
            action.add_argument("--queue-url", default="", metavar="URL", help="of another dead-letter queue")
            action.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        actions = {"list": _list, "show": _show, "replay": _replay, "purge": _purge}
        action = actions[options["action"]]
        if options["action"] in {"replay", "purge"} and bool(options["ids"]) is options["all"]:
            raise CommandError("Name messages by ID, or say --all.")
        try:
            answer, lines = action(dead_letter_queues(url=options["queue_url"]), options)
        except QueueUnavailable as error:
            raise CommandError(str(error)) from None
        self.stdout.write(json.dumps(answer) if options["json"] else "\n".join(lines))


Answer = tuple[Any, list[str]]


def _list(places: Collection[DeadLetterQueue], options: dict[str, Any]) -> Answer:
    with held(places, limit=options["limit"]) as letters:
        told = [_told(cause) for cause in causes_of(letters.values())]
    rows = [[str(each[name] if each[name] is not None else "") for name in COLUMNS] for each in told]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (COLUMNS, *rows)]
    return told, [line.rstrip() for line in lines] if told else ["There are no dead letters."]


def _show(places: Collection[DeadLetterQueue], options: dict[str, Any]) -> Answer:
    with held(places) as letters:
        _all_there([options["id"]], letters)
        told = _told(causes_of([letters[options["id"]]])[0])
    return told, [f"{name}: {value}" for name, value in told.items() if value is not None]


def _replay(places: Collection[DeadLetterQueue], options: dict[str, Any]) -> Answer:
    if options["move"]:
        if not options["all"]:
            raise CommandError("--move moves everything: say --all with it.")
        moves = [move(place) for place in places]
        return [asdict(each) for each in moves], [
            f"{each.queue}: "
            + ("SQS is moving all messages" if each.sent_back is None else f"{each.sent_back} sent back")
            for each in moves
        ]
    connect()
    messages = []
    with held(places, seconds=WORK) as letters:
        _all_there(options["ids"], letters)
        for letter, outcome in replay(letters, ids=options["ids"], raw=options["raw"]):
            messages.append({"id": letter.id, "outcome": str(outcome)})
    counts = Counter(message["outcome"] for message in messages)
    answer = {"outcomes": dict(counts), "messages": messages}
    return answer, [f"{outcome}: {count}" for outcome, count in counts.items()] or ["There are no dead letters."]


def _purge(places: Collection[DeadLetterQueue], options: dict[str, Any]) -> Answer:
    if options["all"] and not options["yes"]:
        raise CommandError("This deletes every dead letter: say --yes with it.")
    with held(places, seconds=WORK) as letters:
        _all_there(options["ids"], letters)
        chosen = [letters[each] for each in dict.fromkeys(options["ids"] or letters)]
        for letter in chosen:
            delete(letters, letter)
    return {"purged": len(chosen)}, [f"purged: {len(chosen)}"]


def _all_there(ids: Collection[str], letters: dict[str, DeadLetter]) -> None:
    if missing := [each for each in ids if each not in letters]:
        raise CommandError(f"No dead letter has the id {missing[0]}; another command may be holding it for a moment.")


def _told(cause: Cause) -> dict[str, Any]:
    letter, content = cause.letter, cause.letter.content
    age = timezone.now() - letter.first_sent
    return {
        "id": letter.id,
        "queue": letter.queue.name,
        "kind": str(content.kind),
        "task": content.task or None,
        "task_id": content.task_id or None,
        "ids": {} if content.subject is None else {ID_OF[content.task]: content.subject},
        "receives": letter.receives,
        "first_sent": letter.first_sent.isoformat(),
        "age": str(timedelta(seconds=int(age.total_seconds()))),
        "batch": None if cause.batch is None else str(cause.batch),
        "status": cause.status or None,
        "attempts": cause.attempts,
        "error": cause.error or None,
    }
