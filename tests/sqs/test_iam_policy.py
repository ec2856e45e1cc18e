from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from django_healthkit_ingest.sqs.permissions import ROLES, Role, policy

QUEUE = "arn:aws:sqs:eu-west-1:123456789012:imports"
DEAD = "arn:aws:sqs:eu-west-1:123456789012:imports-dead"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/one"


def allowed(document: dict[str, Any]) -> dict[str, set[str]]:
    """Actions by resource."""
    return {each["Resource"]: set(each["Action"]) for each in document["Statement"]}


@pytest.mark.parametrize("role", ROLES)
def test_no_role_may_do_anything_anywhere(role: Role) -> None:
    document = policy(role, queue_arn=QUEUE, dlq_arn=DEAD, kms_key_arn=KEY)

    assert set(allowed(document)) <= {QUEUE, DEAD, KEY}
    assert all(each["Effect"] == "Allow" for each in document["Statement"])
    assert "*" not in json.dumps(document)


def test_what_each_role_may_do_with_the_queue() -> None:
    may = {role: allowed(policy(role, queue_arn=QUEUE))[QUEUE] for role in ROLES}

    assert may["api"] == may["operator"] == {"sqs:GetQueueAttributes", "sqs:SendMessage"}
    assert may["worker"] == may["api"] | {
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
    }


def test_only_the_operator_touches_dead_letters() -> None:
    may = {role: allowed(policy(role, queue_arn=QUEUE, dlq_arn=DEAD)).get(DEAD, set()) for role in ROLES}

    assert may["api"] == set()
    assert may["worker"] == {"sqs:GetQueueAttributes"}
    assert {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:StartMessageMoveTask"} < may["operator"]


@pytest.mark.parametrize("role", ROLES)
def test_the_key_is_named_where_there_is_one(role: Role) -> None:
    assert KEY in allowed(policy(role, queue_arn=QUEUE, kms_key_arn=KEY))
    assert "Key" not in {each["Sid"] for each in policy(role, queue_arn=QUEUE)["Statement"]}


@pytest.mark.parametrize("role", ROLES)
def test_the_command_prints_the_policy(role: Role) -> None:
    out = StringIO()

    call_command("healthkit_ingest_iam_policy", role=role, queue_arn=QUEUE, dlq_arn=DEAD, kms_key_arn=KEY, stdout=out)

    assert json.loads(out.getvalue()) == policy(role, queue_arn=QUEUE, dlq_arn=DEAD, kms_key_arn=KEY)


def test_an_operator_without_dead_letters_is_a_mistake() -> None:
    with pytest.raises(CommandError, match="--dlq-arn"):
        call_command("healthkit_ingest_iam_policy", role="operator", queue_arn=QUEUE)
