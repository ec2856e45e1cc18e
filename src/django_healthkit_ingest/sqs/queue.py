"""Our queues as Amazon's client sees them: their URLs, their attributes, and where their dead letters go."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from celery import current_app

from django_healthkit_ingest.sqs.broker import TASKS, broker, chosen_by_celery, our_queues

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

PATIENCE: Mapping[str, object] = {
    "connect_timeout": 5,
    "read_timeout": 20,
    "retries": {"mode": "standard", "total_max_attempts": 3},
}
"""For a person who waits; the host's ``client-config`` bounds what a request has to wait for."""


class QueueUnavailable(Exception):
    """SQS could not be asked, or there is no such queue; the text says what to do and holds no URL and no key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    name: str
    """Celery's."""
    url: str
    client: SQSClient = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterQueue:
    url: str
    arn: str
    sources: tuple[Queue, ...]
    """Whose messages end here."""

    @property
    def client(self) -> SQSClient:
        return self.sources[0].client

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


@contextmanager
def asking_sqs() -> Iterator[None]:
    """Amazon's errors become QueueUnavailable, by operation and code: their own texts may name accounts and roles."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        raise QueueUnavailable(f"SQS refused {error.operation_name} ({code}).") from None
    except BotoCoreError as error:
        raise QueueUnavailable(f"SQS cannot be reached ({type(error).__name__}).") from None


def queues() -> tuple[Queue, ...]:
    """Those our tasks are sent to, with clients made as kombu makes its own: same region, endpoint and keys.

    Raises QueueUnavailable where the broker is not SQS or a queue is not predefined.
    """
    told = broker()
    if not told.is_sqs:
        raise QueueUnavailable("The broker is not SQS: look for dead letters with its own tools.")
    names = sorted(our_queues() or {chosen_by_celery(task) for task in TASKS})
    if missing := [name for name in names if name not in told.predefined]:
        raise QueueUnavailable(
            f"Give the URL of the queue {missing[0]!r} in 'predefined_queues' (celery_settings does)."
        )
    with asking_sqs(), current_app.connection_for_write() as connection:
        options: Mapping[str, Any] = connection.transport_options or {}
        connection.transport_options = {
            **options,
            "client-config": {**options.get("client-config", {}), **PATIENCE},
        }
        channel: Any = connection.default_channel
        return tuple(Queue(name=name, url=told.predefined[name]["url"], client=channel.sqs(name)) for name in names)


def attributes_of(url: str, *, client: SQSClient) -> Mapping[str, str]:
    with asking_sqs():
        attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return {str(name): value for name, value in attributes.items()}


def dead_letter_queues(*, url: str = "") -> tuple[DeadLetterQueue, ...]:
    """Where our messages end by their queues' redrive policies, or only the one with that URL.

    Raises QueueUnavailable.
    """
    ours = queues()
    if url:
        arn = attributes_of(url, client=ours[0].client)["QueueArn"]
        return (DeadLetterQueue(url=url, arn=arn, sources=ours),)
    sources: dict[str, list[Queue]] = {}
    for queue in ours:
        policy = json.loads(attributes_of(queue.url, client=queue.client).get("RedrivePolicy", "{}"))
        if arn := policy.get("deadLetterTargetArn"):
            sources.setdefault(arn, []).append(queue)
    if not sources:
        raise QueueUnavailable("No queue of ours has a redrive policy, so that no message is ever laid aside.")
    return tuple(
        DeadLetterQueue(url=_sibling(of[0].url, arn=arn), arn=arn, sources=tuple(of)) for arn, of in sources.items()
    )


def _sibling(url: str, *, arn: str) -> str:
    """A dead-letter queue is in its source's region and account, so its URL differs by the name alone."""
    return f"{url.rpartition('/')[0]}/{arn.rpartition(':')[2]}"
