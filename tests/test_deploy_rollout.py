"""A rollout: the migration first, and the function that waits for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from tests.deployment import REGION, containers, resources, template

pytestmark = pytest.mark.acceptance  # once is enough


@pytest.fixture
def migrator(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """The function's own text, with the module that Amazon lays beside it."""
    answers: list[tuple[str, str]] = []

    def send(event: Any, context: Any, status: str, data: Any, physical: str, *, reason: str = "") -> None:
        answers.append((status, reason))

    beside = ModuleType("cfnresponse")
    vars(beside).update(SUCCESS="SUCCESS", FAILED="FAILED", send=send)
    monkeypatch.setitem(sys.modules, "cfnresponse", beside)
    ecs = boto3.client("ecs", region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test")
    monkeypatch.setattr(boto3, "client", lambda service: {"ecs": ecs}[service])
    names: dict[str, Any] = {}
    code = resources("services", "AWS::Lambda::Function")["Migrator"]["Code"]["ZipFile"]
    exec(compile(code, "index.py", "exec"), names)
    with Stubber(ecs) as stubber:
        yield SimpleNamespace(handler=names["handler"], ecs=stubber, answers=answers)
        stubber.assert_no_pending_responses()


MIGRATION = {"Cluster": "c", "TaskDefinition": "t:2", "Subnets": ["subnet-1"], "SecurityGroups": ["sg-1"]}
STARTED = {"tasks": [{"taskArn": "arn:task"}], "failures": []}


def ended(code: int) -> dict[str, Any]:
    return {"tasks": [{"taskArn": "arn:task", "lastStatus": "STOPPED", "containers": [{"exitCode": code}]}]}


@pytest.mark.parametrize(("code", "status"), [(0, "SUCCESS"), (1, "FAILED")])
@pytest.mark.parametrize("request_type", ["Create", "Update"])
def test_a_rollout_waits_for_its_migration(
    request_type: str, code: int, status: str, migrator: SimpleNamespace
) -> None:
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}}
    wanted = {"cluster": "c", "taskDefinition": "t:2", "launchType": "FARGATE", "networkConfiguration": network}
    migrator.ecs.add_response("run_task", STARTED, wanted)
    for _ in ("waiting", "looking"):
        migrator.ecs.add_response("describe_tasks", ended(code), {"cluster": "c", "tasks": ["arn:task"]})

    migrator.handler({"RequestType": request_type, "ResourceProperties": MIGRATION}, None)

    assert [answer for answer, _ in migrator.answers] == [status]


def test_a_migration_that_cannot_start_stops_the_rollout(migrator: SimpleNamespace) -> None:
    migrator.ecs.add_response("run_task", {"tasks": [], "failures": [{"reason": "RESOURCE:MEMORY"}]})

    migrator.handler({"RequestType": "Update", "ResourceProperties": MIGRATION}, None)

    assert migrator.answers == [("FAILED", "The migration task did not start: RESOURCE:MEMORY")]


def test_taking_the_stack_down_migrates_nothing(migrator: SimpleNamespace) -> None:
    migrator.handler({"RequestType": "Delete", "ResourceProperties": MIGRATION}, None)

    assert migrator.answers == [("SUCCESS", "")]


def test_services_come_after_the_migration_and_workers_before_the_api() -> None:
    made = template("services")["Resources"]

    assert made["WorkerService"]["DependsOn"] == "Migration"
    assert "WorkerService" in made["ApiService"]["DependsOn"]
    assert made["Migration"]["Properties"]["TaskDefinition"] == {"Ref": "MigrateTask"}
    assert {container["Image"]["Ref"] for container in containers().values()} == {"Image"}
