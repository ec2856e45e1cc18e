"""What a person does with dead letters: look, bring back to work, send back as they are, throw away.

Looking hides a message for a moment and hands it back. Nothing is deleted before what replaces it is safe, so a crash
leaves a message twice and never not at all; repeats change nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING, Any

from django_healthkit_ingest.pipeline.revive import (
    Revival,
    revive_batch,
    revive_chunk,
    revive_erasure,
    revive_export,
    revive_upload,
)
from django_healthkit_ingest.queues import DISPATCH_BATCH, ERASE, EXPORT, PROCESS_CHUNK, SPLIT_UPLOAD, SWEEP
from django_healthkit_ingest.sqs.queue import DeadLetterQueue, Queue, asking_sqs
from django_healthkit_ingest.sqs.wire import Content, Kind, read

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

AT_ONCE = 10
"""SQS's limit, for a receive and for a batch call."""

WAIT_TIME = 1
"""Seconds. A receive that waits asks all of SQS's servers, one that does not asks some of them."""

LOOK = 30
WORK = 300
"""Seconds that messages stay hidden, from others who look and from a second run of the same command."""

UNKNOWN_ACTION = frozenset({"InvalidAction", "NotImplemented", "UnknownOperationException", "500", "501"})
"""What emulators say to an action they do not have. A number is an HTTP status without a code of SQS's: Amazon's own
failures always have one."""


class Fate(StrEnum):
    """Of a message that is not ours to judge; of ours, a Revival."""

    SENT_BACK = "sent_back"
    LEFT = "left"


REVIVE: Mapping[str, Callable[[Any], Revival]] = {
    PROCESS_CHUNK: lambda subject: revive_chunk(chunk_id=subject),
    SPLIT_UPLOAD: lambda subject: revive_upload(upload_id=subject),
    DISPATCH_BATCH: lambda subject: revive_batch(batch_id=subject),
    ERASE: lambda subject: revive_erasure(erasure_id=subject),
    EXPORT: lambda subject: revive_export(export_id=subject),
    SWEEP: lambda subject: Revival.DONE,  # the schedule sends the next one
}

SETTLED = frozenset({Revival.REPLAYED, Revival.DONE, Revival.GONE, Fate.SENT_BACK})
"""The dead message is of no more use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    id: str
    """SQS's; it stays the same when a message is laid aside."""
    queue: DeadLetterQueue
    content: Content
    message: MessageTypeDef = field(repr=False)

    @property
    def receives(self) -> int:
        """By the workers and by those who looked."""
        return int(self.attribute("ApproximateReceiveCount") or 0)

    @property
    def first_sent(self) -> datetime:
        return datetime.fromtimestamp(int(self.attribute("SentTimestamp") or 0) / 1000, tz=UTC)

    @property
    def source(self) -> Queue:
        """The queue it came from, by SQS's word, or the only one there is."""
        name = self.attribute("DeadLetterQueueSourceArn").rpartition(":")[2]
        sources = self.queue.sources
        return next((queue for queue in sources if queue.url.rpartition("/")[2] == name), sources[0])

    def attribute(self, name: str) -> str:
        attributes: Mapping[Any, str] = self.message.get("Attributes", {})
        return attributes.get(name, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    queue: str
    sent_back: int | None
    """None: SQS does it, in its own time."""


@contextmanager
def held(
    places: Iterable[DeadLetterQueue], *, seconds: int = LOOK, limit: float = inf
) -> Iterator[dict[str, DeadLetter]]:
    """The dead letters by id, hidden from others for so long; those left in the dict are given back at the end.

    Of each queue no page is fetched once there are ``limit``.
    """
    letters: dict[str, DeadLetter] = {}
    try:
        for place in places:
            wanted = len(letters) + limit
            while len(letters) < wanted and (page := _page(place, seconds=seconds)):
                if all(letter.id in letters for letter in page):
                    break  # all have been seen: those of the first pages are back
                letters.update((letter.id, letter) for letter in page)
        yield letters
    finally:
        _give_back(letters.values())


def replay(
    letters: dict[str, DeadLetter], *, ids: Collection[str] = (), raw: bool = False
) -> Iterator[tuple[DeadLetter, Revival | Fate]]:
    """What became of each of those ``ids``, or of all: taken out of ``letters`` and deleted where it is settled.

    A chunk is revived once, however many messages of it died. ``raw`` sends those that are not ours, or unreadable,
    back to their queue as they are; without it they are left.
    """
    revived: dict[tuple[str, int | None], Revival] = {}
    for letter in list(letters.values()):
        if ids and letter.id not in ids:
            continue
        content = letter.content
        outcome: Revival | Fate = Fate.LEFT
        if content.kind is Kind.OURS:
            subject = content.task, content.subject
            outcome = revived[subject] = revived.get(subject) or REVIVE[content.task](content.subject)
        elif raw:
            send_back(letter)
            outcome = Fate.SENT_BACK
        if outcome in SETTLED:
            delete(letters, letter)
        yield letter, outcome


def send_back(letter: DeadLetter) -> None:
    """The same body and attributes to the queue it came from, as a new message."""
    options: dict[str, Any] = {}
    for name in ("MessageGroupId", "MessageDeduplicationId"):
        if value := letter.attribute(name):
            options[name] = value
    if given := letter.message.get("MessageAttributes"):
        options["MessageAttributes"] = given
    with asking_sqs():
        letter.queue.client.send_message(
            QueueUrl=letter.source.url, MessageBody=letter.message.get("Body", ""), **options
        )


def delete(letters: dict[str, DeadLetter], letter: DeadLetter) -> None:
    with asking_sqs():
        letter.queue.client.delete_message(
            QueueUrl=letter.queue.url, ReceiptHandle=letter.message.get("ReceiptHandle", "")
        )
    del letters[letter.id]


def move(place: DeadLetterQueue) -> Move:
    """All messages back to the queues they came from, as they are and whatever the rows say.

    Amazon does it by itself; where it does not know how, each is sent and then deleted.
    """
    if _start_move(place):
        return Move(queue=place.name, sent_back=None)
    sent_back = 0
    with held([place], seconds=WORK) as letters:
        for letter in list(letters.values()):
            send_back(letter)
            delete(letters, letter)
            sent_back += 1
    return Move(queue=place.name, sent_back=sent_back)


def _start_move(place: DeadLetterQueue) -> bool:
    from botocore.exceptions import ClientError

    with asking_sqs():
        try:
            place.client.start_message_move_task(SourceArn=place.arn)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in UNKNOWN_ACTION:
                return False
            raise
    return True


def _page(place: DeadLetterQueue, *, seconds: int) -> list[DeadLetter]:
    with asking_sqs():
        answer = place.client.receive_message(
            QueueUrl=place.url,
            MaxNumberOfMessages=AT_ONCE,
            VisibilityTimeout=seconds,
            WaitTimeSeconds=WAIT_TIME,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
    return [
        DeadLetter(id=message.get("MessageId", ""), queue=place, content=read(message.get("Body", "")), message=message)
        for message in answer.get("Messages", ())
    ]


def _give_back(letters: Iterable[DeadLetter]) -> None:
    by_queue: dict[str, list[DeadLetter]] = defaultdict(list)
    for letter in letters:
        by_queue[letter.queue.url].append(letter)
    for url, some in by_queue.items():
        receipts = [letter.message.get("ReceiptHandle", "") for letter in some]
        for first in range(0, len(receipts), AT_ONCE):
            page = enumerate(receipts[first : first + AT_ONCE])
            with asking_sqs():
                some[0].queue.client.change_message_visibility_batch(
                    QueueUrl=url,
                    Entries=[
                        {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                        for number, receipt in page
                    ],
                )
