"""What only SQS can show: its endpoint, the queues' attributes against our limits, and what this role may do.

Nothing is sent, received or deleted. A permission is tried with a call that SQS must refuse for its parameters: if it
refuses it for the permission instead, the permission is missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.conf import settings

from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.pipeline.doctor import Finding, Verdict, cure, examined, ok, skipped
from django_healthkit_ingest.queues import connect, lease
from django_healthkit_ingest.sqs.broker import Broker, broker, hard_time_limit, is_missing
from django_healthkit_ingest.sqs.digest import compare
from django_healthkit_ingest.sqs.infrastructure import visibility_timeout
from django_healthkit_ingest.sqs.permissions import DEAD_LETTER_ACTIONS, QUEUE_ACTIONS, Role
from django_healthkit_ingest.sqs.queue import QueueUnavailable, attributes_of, dead_letter_queues, queues
from django_healthkit_ingest.sqs.transport import AWS_HOST

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

RETENTION = "MessageRetentionPeriod"
SMALLEST_MESSAGE_SIZE = 8 * 1024
"""Bytes; a message of ours is 1.5 KB."""

PROBES: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "sqs:SendMessage": ("send_message", {"MessageBody": "probe", "DelaySeconds": 901}),
        "sqs:ReceiveMessage": ("receive_message", {"MaxNumberOfMessages": 0}),
        "sqs:DeleteMessage": ("delete_message", {"ReceiptHandle": "none"}),
        "sqs:ChangeMessageVisibility": (
            "change_message_visibility",
            {"ReceiptHandle": "none", "VisibilityTimeout": 0},
        ),
    }
)
"""The call by action, and parameters that no SQS accepts."""

SHOW = "(manage.py healthkit_ingest_queue prints them all)"


def examine_broker(*, role: Role) -> Iterator[Finding]:
    if is_missing():
        yield cure("broker", "Import your Celery app where Django starts: this process has none.")
        return
    yield from examined("settings", compare, advice="Check the cache.")
    told = broker()
    if told.is_sqs:
        advice = "Check the queue's URL, this role's keys and the way to SQS."
        yield from examined("queue", partial(look_at_queues, role=role), advice=advice)
        return
    yield from examined("broker", partial(look_at_broker, told), advice="Check CELERY_BROKER_URL and the server.")
    yield skipped("queue", f"the broker is {told.transport}: it has no attributes to look at")


def look_at_broker(told: Broker) -> Iterator[Finding]:
    if connect():
        yield ok("broker", f"{told.transport} answers")
    else:
        yield cure("broker", f"{told.transport} does not answer: check CELERY_BROKER_URL and the server.")


def look_at_queues(*, role: Role) -> Iterator[Finding]:
    try:
        ours = queues()
        endpoint = look_at_endpoint(ours[0].client.meta.endpoint_url)
        yield endpoint
        if endpoint.verdict is Verdict.CURE and settings.DEBUG:
            return  # not one call to what may be somebody's real queue
        dead_letters = False
        for queue in ours:
            yield from look_at_permissions(queue.name, queue.url, client=queue.client, actions=QUEUE_ACTIONS[role])
            attributes = attributes_of(queue.url, client=queue.client)
            yield from look_at_attributes(queue.name, attributes)
            yield look_at_redrive(queue.name, attributes)
            dead_letters = dead_letters or "RedrivePolicy" in attributes
        if dead_letters:
            yield from look_at_dead_letters(role=role)
    except QueueUnavailable as error:
        yield cure("queue", f"{error} Check the queue's URL, this role's permissions and the way to SQS.")


def look_at_endpoint(url: str) -> Finding:
    on_amazon = bool(AWS_HOST.search(urlsplit(url).hostname or ""))
    if on_amazon and settings.DEBUG:
        text = "DEBUG is on and this is Amazon: set AWS_ENDPOINT_URL_SQS to your emulator, or DEBUG to False."
        return cure("endpoint", text)
    if not on_amazon and not settings.DEBUG:
        return cure("endpoint", "This is not Amazon: unset AWS_ENDPOINT_URL_SQS, AWS_ENDPOINT_URL and endpoint_url.")
    return ok("endpoint", "Amazon" if on_amazon else "an emulator")


def look_at_permissions(name: str, url: str, *, client: SQSClient, actions: tuple[str, ...]) -> Iterator[Finding]:
    from botocore.exceptions import ClientError

    for action in actions:
        if action not in PROBES:
            continue
        method, parameters = PROBES[action]
        line = f"{name} {action}"
        try:
            getattr(client, method)(QueueUrl=url, **parameters)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if "AccessDenied" in code:
                yield cure(line, f"Allow {action} (manage.py healthkit_ingest_iam_policy prints the policy).")
            elif error.response["ResponseMetadata"]["HTTPStatusCode"] in {401, 403} or "NonExistentQueue" in code:
                yield cure(line, f"{code}: check this role's keys, and the queue's URL and region.")
            else:
                yield ok(line, "not denied")
        else:
            yield ok(line, "allowed")


def look_at_attributes(name: str, attributes: Mapping[str, str]) -> Iterator[Finding]:
    hidden = int(attributes["VisibilityTimeout"])
    needed = max(lease().total_seconds(), hard_time_limit() + broker().wait_time)
    line = f"{name} VisibilityTimeout"
    if hidden > needed:
        yield ok(line, f"{hidden} s, above the lease of {lease().total_seconds():.0f} s")
    else:
        yield cure(line, f"Set it to {visibility_timeout()}: {hidden} s is within a lease of {needed:.0f} s {SHOW}.")
    size = int(attributes.get("MaximumMessageSize", SMALLEST_MESSAGE_SIZE))
    line = f"{name} MaximumMessageSize"
    if size >= SMALLEST_MESSAGE_SIZE:
        yield ok(line, f"{size} bytes")
    else:
        yield cure(line, f"Set it to {SMALLEST_MESSAGE_SIZE} or more: {size} bytes are too few {SHOW}.")


def look_at_redrive(name: str, attributes: Mapping[str, str]) -> Finding:
    line = f"{name} RedrivePolicy"
    policy = json.loads(attributes.get("RedrivePolicy", "{}"))
    if not policy:
        return cure(line, f"Give the queue a dead-letter queue: without one failed messages are deleted {SHOW}.")
    receives, attempts = int(policy["maxReceiveCount"]), get_settings().max_attempts
    if receives < attempts:
        return cure(line, f"Raise maxReceiveCount from {receives} to {attempts} (MAX_ATTEMPTS) or more.")
    return ok(line, f"maxReceiveCount {receives}")


def look_at_dead_letters(*, role: Role) -> Iterator[Finding]:
    if role not in DEAD_LETTER_ACTIONS:
        yield skipped("dead letters", f"no business of the role {role}")
        return
    for dead in dead_letter_queues():
        yield from look_at_permissions(dead.name, dead.url, client=dead.client, actions=DEAD_LETTER_ACTIONS[role])
        kept = int(attributes_of(dead.url, client=dead.client)[RETENTION])
        before = max(int(attributes_of(each.url, client=each.client)[RETENTION]) for each in dead.sources)
        line = f"{dead.name} {RETENTION}"
        if kept > before:
            yield ok(line, f"{kept} s, above the queue's {before} s")
        else:
            text = f"Raise it from {kept} s above the queue's {before} s: a moved message keeps its first timestamp"
            yield cure(line, f"{text} {SHOW}.")
