"""Questions that mean no good: an error that says so, in bounded time, and no server error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from graphql import GraphQLError, get_introspection_query, parse

from django_healthkit_ingest.adapters.strawberry.guards import (
    MAX_ALIASES,
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_FIELDS,
    MAX_TOKENS,
    find_fault,
)
from django_healthkit_ingest.adapters.strawberry.masks import masked
from django_healthkit_ingest.models import ImportBatch, database
from tests.adapters.graphql_client import INGEST, JSON, URL, ask, post, signed_in

pytestmark = pytest.mark.django_db(databases="__all__")

TYPES = "healthkitTypes"
SECRET = "my-very-secret-value"


@pytest.fixture
def app(user: Any, messages: Any) -> Client:
    return signed_in(user)


def fragments(number: int, inner: str, *, spread: int = 2) -> str:
    """Each spreads the next one so many times: their fields are as many as ``spread ** number``."""
    chain = [f"fragment F{n} on Query {{ {f'...F{n + 1} ' * spread} }}" for n in range(number)]
    return " ".join(["{ ...F0 }", *chain, f"fragment F{number} on Query {{ {inner} }}"])


FLOODS = {
    "depth": "{ a " * 100 + "}" * 100,
    "depth the parser cannot hold": "{ a " * 600 + "}" * 600,
    "depth by fragments": fragments(30, "{ healthkitTypes { identifier } }".strip("{} "), spread=1).replace(
        "...F", "healthkitTypes { ...F"
    ),
    "lists in a value": f"{{ {TYPES}(x: {'[' * 900}{']' * 900}) {{ identifier }} }}",
    "aliases": "{ " + " ".join(f"a{n}: {TYPES} {{ identifier }}" for n in range(MAX_ALIASES + 1)) + " }",
    "aliases by fragments": fragments(8, f"a: {TYPES} {{ identifier }}"),
    "fields": f"{{ {TYPES} {{ {'identifier ' * (MAX_FIELDS + 1)} }} }}",
    "fields by fragments": fragments(40, f"{TYPES} {{ identifier }}"),
    "fields in several operations": " ".join(f"query Q{n} {{ {TYPES} {{ {'kind ' * 50} }} }}" for n in range(12)),
    "tokens": f"{{ {TYPES} {{ {'identifier ' * MAX_TOKENS} }} }}",
    "directives": f"{{ {TYPES} {'@skip(if: true) ' * MAX_TOKENS} {{ identifier }} }}",
    "spaces": "{" + " " * MAX_CHARACTERS + f"{TYPES} {{ identifier }} }}",
    "a comment": "#" * MAX_CHARACTERS + f"\n{{ {TYPES} {{ identifier }} }}",
    "a long string": f'{{ healthkitSample(id: "{"x" * MAX_CHARACTERS}") {{ id }} }}',
    "introspection": "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }",
    "introspection by fragments": "{ __schema { ...S } } fragment S on __Schema { types { ...T } } "
    "fragment T on __Type { fields { type { ...U } } } fragment U on __Type { fields { type { fields { name } } } }",
    "a circle": "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
    "a circle of one": "{ ...A } fragment A on Query { ...A healthkitTypes { identifier } }",
    "an unknown fragment": "{ ...Nowhere }",
    "nothing": "",
    "only a fragment": f"fragment A on Query {{ {TYPES} {{ identifier }} }}",
    "no GraphQL": "\0",
    "a subscription": "subscription { x }",
    "an unknown field": "{ nothing }",
    "an unknown directive": f"{{ {TYPES} @deep {{ kind }} }}",
    "defer": "{ ... @defer { healthkitTypes { kind } } }",
}


@pytest.mark.parametrize("query", FLOODS.values(), ids=FLOODS)
def test_a_flood_is_refused(app: Client, query: str) -> None:
    answer = post(app, query)

    assert_refused(answer)
    assert ask(app, f"{{ {TYPES} {{ identifier }} }}")  # the same process answers the next one


@pytest.mark.parametrize("name", ["aliases by fragments", "fields by fragments", "introspection by fragments"])
def test_floods_are_counted_before_anything_else_looks_at_them(name: str) -> None:
    fault = find_fault(parse(FLOODS[name]))

    assert fault is not None
    assert fault.startswith("A question has at most")
    assert find_fault(parse(FLOODS["a circle"])) is None  # validation's to say


@pytest.mark.parametrize("query", [get_introspection_query(), get_introspection_query(descriptions=False)])
def test_tools_may_ask_for_the_schema(app: Client, query: str) -> None:
    assert ask(app, query)["__schema"]["queryType"]["name"] == "Query"


def test_the_largest_questions_pass(app: Client) -> None:
    few = "{ " + " ".join(f"a{n}: {TYPES} {{ kind }}" for n in range(MAX_ALIASES)) + " }"
    wide = f"{{ {TYPES} {{ {'identifier ' * (MAX_FIELDS - 1)} }} }}"
    deep = "{ a " * (MAX_DEPTH) + "}" * MAX_DEPTH

    assert len(ask(app, few)) == MAX_ALIASES
    assert ask(app, wide)
    assert find_fault(parse(deep)) is None
    assert find_fault(parse("{ a " * (MAX_DEPTH + 1) + "}" * (MAX_DEPTH + 1))) is not None


SAMPLES = '(type: "HKQuantityTypeIdentifierHeartRate", %s) { edges { cursor } }'


@pytest.mark.parametrize(
    "question",
    [
        "healthkitSamples" + SAMPLES % "first: 0",
        "healthkitSamples" + SAMPLES % "first: -1",
        "healthkitSamples" + SAMPLES % "first: 1001",
        "healthkitSamples" + SAMPLES % "first: 2147483647",
        "healthkitSamples" + SAMPLES % "first: 2147483648",
        "healthkitSamples" + SAMPLES % "first: 1e400",
        "healthkitSamples" + SAMPLES % f'first: "{SECRET}"',
        "healthkitSamples" + SAMPLES % f"first: {SECRET.replace('-', '_')}",
        "healthkitSamples" + SAMPLES % f"first: {{a: {SECRET.replace('-', '_')}}}",
        "healthkitSamples" + SAMPLES % f'after: "{SECRET}"',
        "healthkitSamples" + SAMPLES % 'after: "\\u0000"',
        "healthkitSamples" + SAMPLES % f'start: "{SECRET}"',
        "healthkitSamples" + SAMPLES % 'start: "2026-01-01T08:00:00"',
        "healthkitSamples" + SAMPLES % 'start: "2026-13-01T08:00:00Z"',
        "healthkitSamples" + SAMPLES % "start: 5",
        "healthkitSamples" + SAMPLES % f'source: "{SECRET}"',
        "healthkitSamples" + SAMPLES % 'source: "\\u0000"',
        'healthkitSamples(type: "\\u0000") { edges { cursor } }',
        'healthkitSamples(type: "") { edges { cursor } }',
        "healthkitSamples { edges { cursor } }",
        f'healthkitImports(status: "{SECRET}") {{ edges {{ cursor }} }}',
        f"healthkitImports(status: {SECRET.replace('-', '_')}) {{ edges {{ cursor }} }}",
        'healthkitImports(idempotencyKey: "\\u0000") { edges { cursor } }',
        'healthkitImports(bodySha256: "\\u0000") { edges { cursor } }',
        'healthkitSyncState(device: "\\u0000") { type }',
        'healthkitSyncState(device: "") { type }',
        f'healthkitImport(id: "{SECRET}") {{ id }}',
        f'healthkitImport(id: {{a: "{SECRET}"}}) {{ id }}',
        'healthkitSample(id: "\\u0000") { id }',
        f'healthkitSample(id: "{SECRET}") {{ id }}',
    ],
)
def test_values_that_do_not_fit_are_not_quoted(app: Client, question: str) -> None:
    answer = post(app, f"{{ {question} }}")

    assert_refused(answer)
    assert not quotes(answer)


@pytest.mark.parametrize("name", ["start", "end", "updatedSince"])
@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00"]
)
@pytest.mark.parametrize("list_of", ["healthkitSamples", "healthkitStatistics"])
def test_the_ends_of_time_are_no_server_error(app: Client, list_of: str, name: str, moment: str) -> None:
    answer = post(
        app, f'{{ {list_of}(type: "HKQuantityTypeIdentifierHeartRate", {name}: "{moment}") {{ edges {{ cursor }} }} }}'
    )

    assert "errors" not in answer.json() or answer.json()["errors"][0]["extensions"]["code"] == "invalid_query"


@pytest.mark.parametrize(
    ("type", "value"),
    [
        ("Int", 2**31),
        ("Int", 2**70),
        ("Int", -1),
        ("Int", 1.5),
        ("Int", True),
        ("Int", SECRET),
        ("Int", [SECRET]),
        ("Int", {SECRET: SECRET}),
        ("Int", [[[1]]] * 1000),
        ("Float", SECRET),
        ("Int!", None),
    ],
)
def test_variables_that_do_not_fit_are_not_quoted(app: Client, type: str, value: Any) -> None:
    answer = post(app, f"query ($v: {type}) {{ healthkitImports(first: $v) {{ edges {{ cursor }} }} }}", v=value)

    assert_refused(answer)
    assert not quotes(answer)
    if type == "Int" and value != -1:
        assert answer.json()["errors"][0]["message"] == "The value of $v does not fit its type."


@pytest.mark.parametrize(
    "given",
    [
        {"body": [SECRET], "unknown": SECRET},
        {"body": [SECRET], "lane": SECRET},
        {"body": [SECRET], "device": SECRET},
        {"body": [SECRET], "device": {"id": {SECRET: SECRET}}},
        {"body": [SECRET], "timeZone": SECRET},
        {"body": [SECRET], "format": SECRET},
        {"body": {SECRET: SECRET, "format": "healthkit", "samples": SECRET}},
        {"body": SECRET},
        {"upload": SECRET},
        {"file": SECRET},
        [SECRET],
        None,
    ],
)
def test_inputs_that_do_not_fit_are_not_quoted(app: Client, given: Any) -> None:
    answer = post(app, INGEST, input=given)

    assert_refused(answer)
    assert not quotes(answer)
    assert not ImportBatch.objects.using(database()).exists()


@pytest.mark.parametrize("levels", [200, 1_000, 5_000, 100_000])
def test_nesting_is_a_clients_fault(app: Client, levels: int) -> None:
    query = json.dumps(INGEST)
    nested = "[" * levels + "]" * levels
    bodies = [
        f'{{"query": {query}, "variables": {{"input": {{"body": {nested}}}}}}}',
        f'{{"query": {query}, "variables": {{"input": {{"body": {{"format": "healthkit", "samples": {nested}}}}}}}}}',
        f'{{"query": {query}, "variables": {nested}}}',
        f'{{"query": {query}, "variables": {{"input": {nested}}}}}',
        nested,
    ]

    for body in bodies:
        answer = app.post(URL, data=body, content_type=JSON)
        assert answer.status_code in (200, 400)
        if answer.status_code == 400:
            assert answer.json()["retry"] == "FIX"
        elif "errors" in answer.json():
            assert_refused(answer)


def test_a_huge_variable_is_answered_shortly(app: Client) -> None:
    answer = post(app, "query ($v: Int) { healthkitImports(first: $v) { edges { cursor } } }", v=["x" * 1000] * 5000)

    assert_refused(answer)
    assert len(answer.content) < 2000


def test_data_does_not_belong_in_the_document(app: Client) -> None:
    body = f"[{'1 ' * MAX_TOKENS}]"

    answer = post(app, f"mutation {{ healthkitIngest(input: {{body: {body}}}) {{ id }} }}")

    (error,) = answer.json()["errors"]
    assert "path" not in error
    assert error["extensions"]["code"] == "invalid_query"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (GraphQLError("Odd: 'my secret'."), "invalid_query"),
        (GraphQLError('Odd: "secret".'), "invalid_query"),
        (GraphQLError("Odd: 7secret."), "invalid_query"),
        (GraphQLError("secret", original_error=RecursionError()), "invalid_query"),
        (GraphQLError("Argument 'a' has secret.", path=["a"]), "invalid_query"),
        (GraphQLError("secret", original_error=ValueError()), None),
        (GraphQLError("secret", path=["a"]), None),
    ],
)
def test_what_nobody_knows_the_text_of_is_not_quoted(error: GraphQLError, code: str | None) -> None:
    told = masked(error)

    assert (told.extensions or {}).get("code") == code
    assert "secret" not in str(told.formatted)


def assert_refused(answer: Any) -> None:
    told = answer.json()
    problems = [each["extensions"] for each in told["errors"]] if answer.status_code == 200 else [told]
    assert problems
    for each in problems:
        assert each["type"].startswith("urn:healthkit-ingest:problem:")
        assert 400 <= each["status"] < 500
        assert each["retry"] in ("FIX", "NEVER", "SPLIT")


def quotes(answer: Any) -> bool:
    text = answer.content.decode()
    return SECRET in text or SECRET.replace("-", "_") in text
