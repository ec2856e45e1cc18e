"""The schema: as it is checked in, as a part of a host's own, and under an event loop."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import strawberry
from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db import IntegrityError, OperationalError
from django.test import AsyncRequestFactory, RequestFactory
from graphql import GraphQLError, GraphQLScalarType
from strawberry.django.views import AsyncGraphQLView, GraphQLView
from strawberry.schema.config import StrawberryConfig

from django_healthkit_ingest.adapters.strawberry import enums
from django_healthkit_ingest.adapters.strawberry.guards import GUARDS
from django_healthkit_ingest.adapters.strawberry.mutation import HealthKitMutation
from django_healthkit_ingest.adapters.strawberry.query import HealthKitQuery
from django_healthkit_ingest.adapters.strawberry.scalars import BigInt
from django_healthkit_ingest.adapters.strawberry.schema import GuardedSchema, schema
from django_healthkit_ingest.core.states import Lane, Status
from django_healthkit_ingest.pipeline.devices import create_device
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import quantity
from tests.graphql_document import normalise, write

CHECKED_IN = Path(__file__).parents[2] / "docs" / "reference" / "schema.graphql"
HEART_RATE = "HKQuantityTypeIdentifierHeartRate"
SAMPLES = f'{{ healthkitSamples(type: "{HEART_RATE}") {{ edges {{ node {{ value source {{ name }} }} }} }} }}'


def test_the_schema_is_as_checked_in() -> None:
    assert normalise(CHECKED_IN.read_text(encoding="utf-8")) == write(), (
        "python -m tests.graphql_document > docs/reference/schema.graphql"
    )


def test_every_name_is_ours_to_take() -> None:
    mine = {name for name in schema._schema.type_map if not name.startswith("__")}
    scalars = {name for name, each in schema._schema.type_map.items() if isinstance(each, GraphQLScalarType)}
    roots = [schema._schema.query_type, schema._schema.mutation_type]

    assert scalars == {"BigInt", "Boolean", "DateTime", "Float", "ID", "Int", "JSON", "String", "Upload"}
    assert {name for name in mine - scalars if not name.startswith("HealthKit")} == {"Query", "Mutation"}
    assert all(name.startswith("healthkit") for root in roots if root is not None for name in root.fields)


def test_the_enums_have_the_words_of_the_core() -> None:
    assert [each.value for each in enums.HealthKitImportStatus] == [*Status]
    assert [each.value for each in enums.HealthKitOrderStatus] == [*Status]
    assert [each.value for each in enums.HealthKitLane] == [*Lane]


@strawberry.type
class Source:
    name: str = "a spring"


@strawberry.type
class Sample:
    source: Source


@strawberry.type
class Query(HealthKitQuery):
    @strawberry.field
    def sample(self) -> Sample:
        return Sample(source=Source())

    @strawberry.field
    def fails(self) -> int:
        raise ValueError("my-secret-value")

    @strawberry.field
    def fails_on_purpose(self) -> int:
        raise GraphQLError("Not today.", extensions={"code": "CLOSED"})

    @strawberry.field
    def overflows(self) -> int:
        return 123456789012


@strawberry.type
class Mutation(HealthKitMutation):
    @strawberry.field
    def ping(self) -> str:
        return "pong"


host = strawberry.Schema(Query, Mutation)


def ask(view: Any, query: str, *, user: Any = None, headers: Any = None, **variables: Any) -> Any:
    body = json.dumps({"query": query, "variables": variables})
    request = RequestFactory().post("/graphql", data=body, content_type="application/json", headers=headers)
    if user is not None:
        request.user = user
    return view(request)


def view_of(*, query: type = Query, guarded: bool = False, **options: Any) -> Any:
    made = GuardedSchema(query, Mutation, **options) if guarded else strawberry.Schema(query, Mutation, **options)
    return GraphQLView.as_view(schema=made)


@pytest.mark.django_db(databases="__all__")
def test_a_hosts_schema_has_our_fields_beside_its_own(user: Any) -> None:
    ingest(healthkit_body(quantity()), user=user)
    answer = ask(view_of(), SAMPLES[:-1] + "sample { source { name } } }", user=user)

    told = json.loads(answer.content)["data"]
    assert told["sample"] == {"source": {"name": "a spring"}}
    assert told["healthkitSamples"]["edges"] == [{"node": {"value": 61.0, "source": {"name": "Test Watch"}}}]
    assert "RateLimit" in answer.headers


@pytest.mark.django_db(databases="__all__")
def test_a_host_says_who_the_user_is(user: Any, other_user: Any) -> None:
    ingest(healthkit_body(quantity()), user=user)

    @strawberry.type
    class ClinicQuery(HealthKitQuery):
        @classmethod
        def get_healthkit_user(cls, info: strawberry.Info[Any, Any]) -> Any:
            assert info.context.request.user == other_user
            return user

    answer = ask(view_of(query=ClinicQuery), SAMPLES, user=other_user)

    assert len(json.loads(answer.content)["data"]["healthkitSamples"]["edges"]) == 1


@pytest.mark.django_db(databases="__all__")
def test_a_host_may_leave_our_tokens_out(user: Any) -> None:
    token = create_device(user=user).token

    @strawberry.type
    class PlainQuery(HealthKitQuery):
        healthkit_device_tokens = False

    headers = {"Authorization": f"Bearer {token}"}
    with_them = ask(view_of(), "{ healthkitTypes { kind } }", headers=headers)
    without = ask(view_of(query=PlainQuery), "{ healthkitTypes { kind } }", headers=headers)

    assert "errors" not in json.loads(with_them.content)
    assert json.loads(without.content)["errors"][0]["extensions"]["code"] == "unauthenticated"


def test_a_host_may_have_a_big_int_of_its_own() -> None:
    theirs = strawberry.scalar(name="BigInt", serialize=str, parse_value=int)

    @strawberry.type
    class Money(HealthKitQuery):
        amount: BigInt = BigInt(1)

    made = strawberry.Schema(Money, config=StrawberryConfig(scalar_map={BigInt: theirs}))

    assert made.execute_sync("{ amount }", root_value=Money()).data == {"amount": "1"}


def test_without_http_nobody_asks() -> None:
    for context in (None, {}, {"request": None}, object()):
        told = host.execute_sync("{ healthkitTypes { kind } }", context_value=context)

        assert told.errors is not None
        assert (told.errors[0].extensions or {})["code"] == "unauthenticated"


@pytest.mark.django_db(databases="__all__")
def test_a_context_may_be_a_mapping(user: Any) -> None:
    request = RequestFactory().post("/")
    request.user = user

    told = host.execute_sync("{ healthkitTypes { kind } }", context_value={"request": request})

    assert told.errors is None


class Odd(Exception):
    pass


@pytest.mark.django_db(databases="__all__")
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OperationalError("connection to 10.0.0.1 refused"), "unavailable"),
        (PermissionDenied("10.0.0.1"), "forbidden"),
        (IntegrityError("Key (value)=(10.0.0.1) exists"), None),
        (Odd("10.0.0.1"), None),
        (GraphQLError("told on purpose", extensions={"code": "theirs"}), "theirs"),
    ],
)
@pytest.mark.parametrize("guarded", [False, True])
def test_errors_quote_nothing(
    user: Any, error: Exception, code: str | None, guarded: bool, caplog: pytest.LogCaptureFixture
) -> None:
    @strawberry.type
    class Broken(HealthKitQuery):
        @classmethod
        def get_healthkit_user(cls, info: strawberry.Info[Any, Any]) -> Any:
            raise error

    answer = ask(view_of(query=Broken, guarded=guarded), "{ healthkitTypes { kind } }", user=user)

    (told,) = json.loads(answer.content)["errors"]
    assert told.get("extensions", {}).get("code") == code
    assert "10.0.0.1" not in answer.content.decode()
    assert "10.0.0.1" not in caplog.text.replace(f"raise error\n{type(error).__name__}", "")
    if code is None:
        assert type(error).__name__ in caplog.text


@pytest.mark.django_db(databases="__all__")
def test_a_mistake_in_the_settings_says_so_in_the_log(user: Any, caplog: pytest.LogCaptureFixture) -> None:
    @strawberry.type
    class Broken(HealthKitQuery):
        @classmethod
        def get_healthkit_user(cls, info: strawberry.Info[Any, Any]) -> Any:
            raise ImproperlyConfigured("HEALTHKIT_INGEST['CONTRACT'] is odd")

    answer = ask(view_of(query=Broken, guarded=True), "{ healthkitTypes { kind } }", user=user)

    assert b"CONTRACT" not in answer.content
    assert "CONTRACT" in caplog.text


@pytest.mark.parametrize("query", ["{ fails }", "{ overflows }"])
def test_a_guarded_schema_masks_what_nobody_foresaw(query: str, caplog: pytest.LogCaptureFixture) -> None:
    answer = ask(view_of(guarded=True), query)

    (told,) = json.loads(answer.content)["errors"]
    assert told["message"].startswith("Something unexpected")
    assert told["path"] == [query.strip("{ }")]
    assert "123456789012" not in answer.content.decode() + caplog.text
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_guarded_schema_tells_what_a_host_tells_on_purpose(caplog: pytest.LogCaptureFixture) -> None:
    answer = ask(view_of(guarded=True), "{ failsOnPurpose }")

    (told,) = json.loads(answer.content)["errors"]
    assert (told["message"], told["extensions"]) == ("Not today.", {"code": "CLOSED"})
    assert caplog.records == []


@pytest.mark.parametrize("query", ["{ fails", "{ nothing }", '{ healthkitTypes(first: "my-secret") { kind } }'])
def test_a_guarded_schema_logs_no_clients_faults(query: str, caplog: pytest.LogCaptureFixture) -> None:
    ask(view_of(guarded=True), query)

    assert caplog.records == []


def test_the_guards_are_extensions_of_any_schema() -> None:
    made = strawberry.Schema(Query, extensions=[*GUARDS])

    small = made.execute_sync("{ __typename }")
    deep = made.execute_sync("{ sample " * 20 + "}" * 20)

    assert small.errors is None
    assert deep.errors is not None
    assert deep.errors[0].message == "A question has at most 16 levels."


@pytest.mark.django_db(databases="__all__", transaction=True)
@pytest.mark.parametrize("made", [host, GuardedSchema(Query, Mutation)], ids=["plain", "guarded"])
def test_an_event_loop_does_not_wait_for_the_database(user: Any, made: Any, messages: Any) -> None:
    view: Any = AsyncGraphQLView.as_view(schema=made)
    batch = ingest(healthkit_body(quantity(unit="kg"), quantity()), user=user)
    send = """mutation ($body: JSON!, $id: ID!) { healthkitIngest(input: {body: $body}) { records { received } }
      healthkitRetry(id: $id) { rejected { edges { node { code } } } } ping }"""

    def ask_async(query: str, **variables: Any) -> Any:
        async def asked() -> Any:
            body = json.dumps({"query": query, "variables": variables})
            request: Any = AsyncRequestFactory().post("/graphql", data=body, content_type="application/json")
            request.user = user
            return await view(request)

        return async_to_sync(asked)()

    read = ask_async(SAMPLES)
    wrote = ask_async(send, body=json.loads(healthkit_body(quantity())), id=str(batch.uuid))
    refused = ask_async('{ healthkitImport(id: "made up") { id } }')

    assert len(json.loads(read.content)["data"]["healthkitSamples"]["edges"]) == 1
    assert json.loads(wrote.content)["data"] == {
        "healthkitIngest": {"records": {"received": 1}},
        "healthkitRetry": {"rejected": {"edges": [{"node": {"code": "unit_mismatch"}}]}},
        "ping": "pong",
    }
    assert json.loads(refused.content)["errors"][0]["extensions"]["code"] == "not_found"
    assert "RateLimit" in read.headers
