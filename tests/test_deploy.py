"""The CloudFormation templates say what the code says. Nothing here reaches Amazon."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

import boto3
import pytest
from cfnlint.api import lint
from cfnlint.config import ManualArgs
from django.core.management import load_command_class
from moto import mock_aws

from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.queues import lease
from django_healthkit_ingest.sqs.celery_settings import celery_settings
from django_healthkit_ingest.sqs.infrastructure import dead_letter_attributes, queue_attributes
from django_healthkit_ingest.sqs.metrics import METRICS, NAMESPACE
from django_healthkit_ingest.sqs.permissions import ROLES, Role, policy
from tests.deployment import DEPLOY, QUEUE_URL, REGION, ROOT, compose, containers, resources, template

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# Once is enough: nothing in it depends on the version of Python or Django.
pytestmark = pytest.mark.acceptance

ON_CALL = ROOT / "docs" / "how-to" / "on-call.md"
TEMPLATES = ("messages", "services", "alarms")

MOTO_LACKS = {"AWS::SQS::QueuePolicy"}

# From Amazon's pages on each namespace.
AMAZONS_METRICS = {
    "AWS/SQS": {
        "ApproximateAgeOfOldestMessage",
        "ApproximateNumberOfMessagesDelayed",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesVisible",
        "NumberOfMessagesDeleted",
        "NumberOfMessagesReceived",
        "NumberOfMessagesSent",
    },
    "AWS/ApplicationELB": {
        "HTTPCode_Target_4XX_Count",
        "HTTPCode_Target_5XX_Count",
        "HealthyHostCount",
        "RequestCount",
        "TargetResponseTime",
    },
    "AWS/Events": {"TriggeredRules"},
    "ECS/ContainerInsights": {"DesiredTaskCount", "RunningTaskCount"},
}


@pytest.fixture
def amazon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """moto, in this process."""
    for name in ("AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test", "DEFAULT_REGION": REGION}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with mock_aws():
        yield


def create_stack(name: str, body: dict[str, Any]) -> dict[str, str]:
    """The stack's outputs, without the resources moto cannot make."""
    makeable = {key: one for key, one in body["Resources"].items() if one["Type"] not in MOTO_LACKS}
    formation = boto3.client("cloudformation")
    formation.create_stack(
        StackName=name,
        TemplateBody=json.dumps({**body, "Resources": makeable}),
        Capabilities=["CAPABILITY_IAM"],
    )
    stack = formation.describe_stacks(StackName=name)["Stacks"][0]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def attributes_of(sqs: SQSClient, url: str) -> dict[str, str]:
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return {str(name): value for name, value in found.items()}


@pytest.mark.parametrize("name", TEMPLATES)
def test_cloudformation_would_take_the_template(name: str) -> None:
    text = (DEPLOY / f"{name}.yaml").read_text(encoding="utf-8")

    found = lint(text, config=ManualArgs(regions=[REGION]))

    assert [f"{match.linenumber}: {match.message}" for match in found] == []


def test_a_broken_template_is_found() -> None:
    """The test above can fail."""
    text = (DEPLOY / "messages.yaml").read_text(encoding="utf-8").replace("maxReceiveCount: 5", "maxReceives: 5")

    assert lint(text, config=ManualArgs(regions=[REGION]))


def test_the_queues_are_those_the_command_prints(amazon: None) -> None:
    made = create_stack("messages", template("messages"))
    sqs = boto3.client("sqs")
    queue = attributes_of(sqs, made["QueueUrl"])
    dead = attributes_of(sqs, sqs.get_queue_url(QueueName=made["DeadLetterQueueName"])["QueueUrl"])
    key = queue["KmsMasterKeyId"]

    wanted = queue_attributes(dlq_arn=dead["QueueArn"], kms_key_arn=key)
    wanted_dead = dead_letter_attributes(queue_arn=queue["QueueArn"], kms_key_arn=key)

    assert {name: queue[name] for name in wanted} == wanted
    # moto forgets who may redrive into a queue.
    allowed = json.loads(wanted_dead.pop("RedriveAllowPolicy"))
    assert {name: dead[name] for name in wanted_dead} == wanted_dead
    declared = resources("messages", "AWS::SQS::Queue")["DeadLetterQueue"]["RedriveAllowPolicy"]
    assert declared["redrivePermission"] == allowed["redrivePermission"]
    assert declared["sourceQueueArns"][0]["Fn::Sub"].endswith(":${QueueName}")


def test_the_clocks_are_in_order() -> None:
    queue = resources("messages", "AWS::SQS::Queue")["Queue"]
    options: Any = celery_settings(queue_url=QUEUE_URL)
    worker = containers()["worker"]
    patience = int(worker["HealthCheck"]["Command"][-1])
    transport = options["CELERY_BROKER_TRANSPORT_OPTIONS"]

    assert options["CELERY_TASK_TIME_LIMIT"] < lease().total_seconds() < queue["VisibilityTimeout"]
    assert queue["VisibilityTimeout"] < get_settings().stale_after.total_seconds()
    assert queue["RedrivePolicy"]["maxReceiveCount"] >= get_settings().max_attempts
    assert options["CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT"] + 10 < worker["StopTimeout"] <= 120
    assert transport["wait_time_seconds"] + transport["polling_interval"] + 10 < patience


@pytest.mark.parametrize("role", ROLES)
def test_the_roles_are_those_the_command_prints(role: Role, amazon: None) -> None:
    made = create_stack("messages", template("messages"))
    sqs, iam = boto3.client("sqs"), boto3.client("iam")
    queue = attributes_of(sqs, made["QueueUrl"])
    dead = attributes_of(sqs, sqs.get_queue_url(QueueName=made["DeadLetterQueueName"])["QueueUrl"])
    name = made[f"{role.capitalize()}Role"].rpartition("/")[2]

    document: Any = iam.get_role_policy(RoleName=name, PolicyName="messages")["PolicyDocument"]

    # moto keeps what a template says as Python's text.
    assert ast.literal_eval(document) == policy(
        role, queue_arn=queue["QueueArn"], dlq_arn=dead["QueueArn"], kms_key_arn=queue["KmsMasterKeyId"]
    )
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []


def test_the_queue_has_one_name() -> None:
    name = template("messages")["Parameters"]["QueueName"]["Default"]

    assert get_settings().queues["default"] == name
    assert celery_settings(queue_url=QUEUE_URL)["CELERY_TASK_DEFAULT_QUEUE"] == name
    assert name in compose()["services"]["worker"]["command"]
    assert f'QUEUE = "{name}"' in (DEPLOY / "create_queue.py").read_text(encoding="utf-8")


def metrics_in(value: Any) -> Iterator[tuple[str, str]]:
    """(namespace, name) wherever a template has both, and in its dashboards."""
    if isinstance(value, dict):
        if "MetricName" in value:
            yield value["Namespace"], value["MetricName"]
        for inner in value.values():
            yield from metrics_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from metrics_in(inner)


def metrics_in_dashboards() -> Iterator[tuple[str, str]]:
    for board in resources("alarms", "AWS::CloudWatch::Dashboard").values():
        for widget in json.loads(board["DashboardBody"]["Fn::Sub"][0])["widgets"]:
            for namespace, name, *_ in widget["properties"]["metrics"]:
                yield namespace, name


def test_every_metric_exists() -> None:
    known = {**AMAZONS_METRICS, NAMESPACE: set(METRICS)}
    used = {*metrics_in(template("alarms")), *metrics_in(template("services")), *metrics_in_dashboards()}

    assert {metric for metric in used if metric[1] not in known.get(metric[0], ())} == set()
    assert {namespace for namespace, _ in used} == set(known)


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    shown = {name for namespace, name in metrics_in_dashboards() if namespace == NAMESPACE}

    assert shown == set(METRICS)


def filled_in(value: Any) -> Any:
    """With a word where CloudFormation would put a name."""
    if isinstance(value, dict):
        if any(key == "Ref" or key.startswith("Fn::") for key in value):
            return str(next(iter(value.values())))
        return {key: filled_in(inner) for key, inner in value.items()}
    return [filled_in(inner) for inner in value] if isinstance(value, list) else value


def test_the_alarms_can_be_made(amazon: None) -> None:
    """moto makes them of requests only, whose parameters have the properties' names."""
    cloudwatch = boto3.client("cloudwatch")
    alarms = resources("alarms", "AWS::CloudWatch::Alarm")

    for alarm in alarms.values():
        cloudwatch.put_metric_alarm(**filled_in(alarm))

    made = cloudwatch.describe_alarms()["MetricAlarms"]
    assert {alarm["AlarmName"].rpartition("-")[2] for alarm in made} == set(alarms)
    assert all(alarm["AlarmActions"] == ["OnCall"] for alarm in made)


def test_every_alarm_has_its_section_in_the_runbook() -> None:
    page = ON_CALL.read_text(encoding="utf-8")
    sections = set(re.findall(r"^### (\w+)$", page, re.MULTILINE))

    assert sections == set(resources("alarms", "AWS::CloudWatch::Alarm"))


def lines_of_the_runbook() -> list[str]:
    text = ON_CALL.read_text(encoding="utf-8")
    return sorted({line.strip() for line in re.findall(r"(?:`|\$ )hk (healthkit_ingest_[^`\n]+)", text)})


@pytest.mark.parametrize("line", lines_of_the_runbook())
def test_every_command_of_the_runbook_can_be_typed(line: str) -> None:
    name, *words = line.replace("BATCH", str(UUID(int=1))).split()
    command = load_command_class("django_healthkit_ingest", name)

    command.create_parser("manage.py", name).parse_args(words)


def test_the_local_queue_is_made_with_its_dead_letter_queue(amazon: None) -> None:
    from example_project.deploy.create_queue import create_queue

    made = attributes_of(boto3.client("sqs"), create_queue())

    assert json.loads(made["RedrivePolicy"])["maxReceiveCount"] == get_settings().max_attempts
    assert int(made["VisibilityTimeout"]) > lease().total_seconds()
