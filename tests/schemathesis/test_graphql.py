"""Whatever fits the GraphQL schema is answered by data or by a problem, and never by an error of ours."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.wsgi import get_wsgi_application
from django.test import Client
from hypothesis import strategies

from django_healthkit_ingest.pipeline.problems import ANSWERS
from tests.schemathesis.conftest import CONFIG, PATIENT, often

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis has a tox environment of its own")
nodes = pytest.importorskip("schemathesis.graphql").nodes

SCHEMA = Path(__file__).parents[2] / "docs" / "reference" / "schema.graphql"

MOMENTS = strategies.one_of(
    strategies.datetimes(timezones=strategies.timezones()).map(lambda moment: moment.isoformat()),
    strategies.sampled_from(["0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "2026-01-01T00:00:00", "now"]),
)
VALUES = strategies.recursive(
    strategies.one_of(
        strategies.text().map(nodes.String), strategies.booleans().map(nodes.Boolean), strategies.just(nodes.Null)
    ),
    lambda inner: strategies.lists(inner, max_size=3).map(nodes.List),
    max_leaves=5,
)

# Which of an operation's ids is what.
IDS = {
    "healthkitImport": "batch_id",
    "healthkitRetry": "batch_id",
    "healthkitCancel": "batch_id",
    "healthkitSample": "sample_id",
    "healthkitSampleSeries": "sample_id",
    "healthkitDeleteSample": "sample_id",
    "healthkitSetPrecedence": "source_id",
    "healthkitErasure": "erasure_id",
    "healthkitExport": "export_id",
    "healthkitRevokeDevice": "device",
}


def load() -> Any:
    schemathesis.graphql.scalar("DateTime", MOMENTS.map(nodes.String))
    schemathesis.graphql.scalar("BigInt", strategies.integers().map(nodes.Int))
    schemathesis.graphql.scalar("JSON", VALUES)
    schemathesis.graphql.scalar("Upload", strategies.text().map(nodes.String))
    schema = schemathesis.graphql.from_file(
        SCHEMA.read_text(encoding="utf-8"), config=schemathesis.Config.from_dict(CONFIG)
    )
    schema.app = get_wsgi_application()
    schema.location = "/health/graphql/"
    return schema


@pytest.fixture
def cookies(user: Any) -> dict[str, str]:
    client = Client()
    client.force_login(user)
    return {"sessionid": client.cookies["sessionid"].value}


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_every_field_answers(case: Any, existing: dict[str, str], cookies: dict[str, str]) -> None:
    case.body = aim(case.body, existing)

    # With an Authorization header the door asks for no CSRF token.
    response = case.call(headers={"Authorization": "Session"}, cookies=cookies)

    answer = json.loads(response.content)
    assert response.status_code == 200, answer
    for error in answer.get("errors", ()):
        problem = error.get("extensions", {})
        assert problem.get("code") in {*ANSWERS} - {"unauthenticated"}, (error, case.body)
        assert problem["status"] < 500, (error, case.body)


TEXT = r'"(?:[^"\\]|\\.)*"'


def aim(body: Any, existing: dict[str, str]) -> Any:
    """In half of the questions ids and types are real ones, and pages are first pages of an allowed size."""
    if not isinstance(body, str) or not often(body):
        return body
    for field, name in IDS.items():
        body = re.sub(rf"(\b{field}\(.*?\bid: ){TEXT}", rf'\1"{existing[name]}"', body, flags=re.DOTALL)
    body = re.sub(rf"(\btype: ){TEXT}", rf'\1"{existing["type"]}"', body)
    body = re.sub(rf"(\bsource: ){TEXT}", rf'\1"{existing["source"]}"', body)
    body = re.sub(r"(\bfirst: )-?\d+", r"\g<1>3", body)
    return re.sub(rf"(\bafter: ){TEXT}", r"\1null", body)


test_every_field_answers = PATIENT(load().parametrize()(test_every_field_answers))
