"""Make the queue and its dead-letter queue in the emulator of compose.yaml; in production CloudFormation does."""

from __future__ import annotations

import json

import boto3

QUEUE = "apple-health-imports"


def create_queue() -> str:
    """With botocore's own variables, AWS_ENDPOINT_URL_SQS among them; the queue's URL. The same again is allowed."""
    sqs = boto3.client("sqs")
    dead_letters = sqs.create_queue(QueueName=f"{QUEUE}-dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead_letters, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 5})
    made = sqs.create_queue(QueueName=QUEUE, Attributes={"VisibilityTimeout": "600", "RedrivePolicy": redrive})
    return made["QueueUrl"]


if __name__ == "__main__":
    print(create_queue())
