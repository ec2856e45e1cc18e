"""The attributes our queues must have, as SQS's API and Terraform's provider want them: from the host's settings."""

from __future__ import annotations

import json

from celery import current_app

from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.queues import DEFAULT_TIME_LIMIT

RETENTION = 4 * 86400
DEAD_LETTER_RETENTION = 14 * 86400
"""Longer than the queue's: a message keeps its first timestamp when it is moved."""

MAXIMUM_MESSAGE_SIZE = 64 * 1024
"""Bytes. Our messages are ids, some 1.5 KB; what is larger is not ours."""

KEY_REUSE = 3600
"""Seconds a data key is used before KMS is asked, and paid, for another."""


def visibility_timeout() -> int:
    """Seconds; twice the hard time limit, which leaves room for the lease (1.1 times) and the poll that came before."""
    return int((current_app.conf.task_time_limit or DEFAULT_TIME_LIMIT) * 2)


def queue_attributes(*, dlq_arn: str, kms_key_arn: str = "") -> dict[str, str]:
    """Of the queue the workers read."""
    redrive = {"deadLetterTargetArn": dlq_arn, "maxReceiveCount": get_settings().max_attempts}
    return {
        "VisibilityTimeout": str(visibility_timeout()),
        "MessageRetentionPeriod": str(RETENTION),
        "MaximumMessageSize": str(MAXIMUM_MESSAGE_SIZE),
        "RedrivePolicy": json.dumps(redrive),
        **_encryption(kms_key_arn),
    }


def dead_letter_attributes(*, queue_arn: str, kms_key_arn: str = "") -> dict[str, str]:
    """Of the dead-letter queue, which takes messages from that one queue only."""
    allowed = {"redrivePermission": "byQueue", "sourceQueueArns": [queue_arn]}
    return {
        "MessageRetentionPeriod": str(DEAD_LETTER_RETENTION),
        "MaximumMessageSize": str(MAXIMUM_MESSAGE_SIZE),
        "RedriveAllowPolicy": json.dumps(allowed),
        **_encryption(kms_key_arn),
    }


def _encryption(kms_key_arn: str) -> dict[str, str]:
    if not kms_key_arn:
        return {"SqsManagedSseEnabled": "true"}
    return {"KmsMasterKeyId": kms_key_arn, "KmsDataKeyReusePeriodSeconds": str(KEY_REUSE)}
