from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3

from example_project.services.sqs import SQS

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    name: str
    url: str
    dead_letter_url: str


def sqs_client(sqs: SQS) -> SQSClient:
    environment = sqs.environment()
    return boto3.client(
        "sqs",
        region_name=sqs.region,
        endpoint_url=sqs.endpoint_url,
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )


def create_queue(sqs: SQS, *, name: str, visibility_timeout: int = 600, max_receive_count: int = 5) -> Queue:
    """A queue and its dead-letter queue ``<name>-dead``; ``visibility_timeout`` in seconds. The same again is allowed.

    Without a redrive policy a task that fails for ever is received for ever (or deleted, by kombu's choice).
    """
    client = sqs_client(sqs)
    dead_letter_url = client.create_queue(
        QueueName=f"{name}-dead",
        # Longer than the queue's: a moved message keeps its first timestamp.
        Attributes={"MessageRetentionPeriod": str(14 * 86400)},
    )["QueueUrl"]
    attributes = client.get_queue_attributes(QueueUrl=dead_letter_url, AttributeNames=["QueueArn"])["Attributes"]
    redrive = {"deadLetterTargetArn": attributes["QueueArn"], "maxReceiveCount": str(max_receive_count)}
    url = client.create_queue(
        QueueName=name,
        Attributes={"VisibilityTimeout": str(visibility_timeout), "RedrivePolicy": json.dumps(redrive)},
    )["QueueUrl"]
    return Queue(name=name, url=url, dead_letter_url=dead_letter_url)


def message_count(sqs: SQS, *, url: str) -> int:
    """Messages waiting and in flight."""
    attributes = sqs_client(sqs).get_queue_attributes(
        QueueUrl=url,
        AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
    )["Attributes"]
    return sum(int(count) for count in attributes.values())
