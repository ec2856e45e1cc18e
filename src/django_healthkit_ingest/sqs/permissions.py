"""What each role may do on Amazon: the one source of the IAM actions.

The actions are those kombu and our own commands really call with predefined queues. Batch calls are authorised by the
same actions as the single ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

Role = Literal["api", "worker", "operator"]
ROLES: tuple[Role, ...] = get_args(Role)

SEND = ("sqs:GetQueueAttributes", "sqs:SendMessage")
RECEIVE = ("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage")
MOVE = ("sqs:CancelMessageMoveTask", "sqs:ListMessageMoveTasks", "sqs:StartMessageMoveTask")

QUEUE_ACTIONS: Mapping[Role, tuple[str, ...]] = {
    "api": SEND,
    "worker": (*SEND, *RECEIVE),
    "operator": SEND,
}
DEAD_LETTER_ACTIONS: Mapping[Role, tuple[str, ...]] = {
    "worker": ("sqs:GetQueueAttributes",),  # the sweep counts them
    "operator": ("sqs:GetQueueAttributes", *RECEIVE, *MOVE),
}
KEY_ACTIONS = ("kms:Decrypt", "kms:GenerateDataKey")


def policy(role: Role, *, queue_arn: str, dlq_arn: str = "", kms_key_arn: str = "") -> dict[str, Any]:
    """The IAM policy document of a role. Without ``dlq_arn`` or ``kms_key_arn`` it has no statement for them."""
    statements = [_statement("Queue", QUEUE_ACTIONS[role], queue_arn)]
    if dlq_arn and role in DEAD_LETTER_ACTIONS:
        statements.append(_statement("DeadLetters", DEAD_LETTER_ACTIONS[role], dlq_arn))
    if kms_key_arn:
        statements.append(_statement("Key", KEY_ACTIONS, kms_key_arn))
    return {"Version": "2012-10-17", "Statement": statements}


def _statement(sid: str, actions: tuple[str, ...], resource: str) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": sorted(actions), "Resource": resource}
