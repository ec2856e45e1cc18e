"""The ready-made view: who may ask, what arrives, and what HTTP says of it."""

from __future__ import annotations

import gzip
import io
import json
import os
from typing import Any

import pytest
import strawberry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections
from django.http import HttpRequest
from django.test import Client, RequestFactory

from django_healthkit_ingest.adapters.strawberry.requests import DOCUMENT_BYTES
from django_healthkit_ingest.adapters.strawberry.schema import GuardedSchema, schema
from django_healthkit_ingest.adapters.strawberry.views import HealthKitGraphQLView
from django_healthkit_ingest.models import ImportBatch, database
from django_healthkit_ingest.pipeline.devices import create_device
from django_healthkit_ingest.testing import healthkit_body
from django_healthkit_ingest.testing.payloads import quantity
from tests.adapters.graphql_client import INGEST, JSON, URL, post, post_file, read, signed_in, with_device

pytestmark = pytest.mark.django_db(databases="__all__")

TYPES = "{ healthkitTypes { kind } }"
QUESTION = json.dumps({"query": TYPES}).encode()


@pytest.fixture(autouse=True)
def no_broker(messages: Any) -> Any:
    return messages


@pytest.fixture
def app(user: Any) -> Client:
    return signed_in(user)


def send(app: Client, body: Any, content_type: str = JSON, **headers: str) -> Any:
    return app.post(URL, data=body, content_type=content_type, headers=headers)


def assert_problem(answer: Any, status: int, code: str, retry: str = "FIX") -> None:
    told = answer.json()
    assert (answer.status_code, told["code"], told["retry"]) == (status, code, retry)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert told["status"] == status


@pytest.fixture
def browser(user: Any) -> Client:
    """With a cookie, and checked as browsers are."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    return client


def test_a_cookie_needs_a_csrf_token(browser: Client) -> None:
    assert_problem(send(browser, QUESTION), 403, "forbidden", "AUTH")

    browser.cookies["csrftoken"] = "a" * 32
    read(send(browser, QUESTION, **{"X-CSRFToken": "a" * 32}))
    assert_problem(send(browser, QUESTION, **{"X-CSRFToken": "b" * 32}), 403, "forbidden", "AUTH")


def test_a_form_of_another_site_is_refused(browser: Client) -> None:
    assert_problem(post_file(browser, healthkit_body(quantity())), 403, "forbidden", "AUTH")
    assert not ImportBatch.objects.using(database()).exists()


@pytest.mark.parametrize("header", ["Basic YTpi", "digest x", "Negotiate x", ""])
def test_what_a_browser_sends_by_itself_is_no_better_than_a_cookie(browser: Client, header: str) -> None:
    assert_problem(send(browser, QUESTION, Authorization=header), 403, "forbidden", "AUTH")


def test_a_token_needs_no_csrf_token(user: Any) -> None:
    phone = Client(enforce_csrf_checks=True)
    headers = {"Authorization": f"Bearer {create_device(user=user).token}"}

    read(send(phone, QUESTION, **headers))


class TokenView(HealthKitGraphQLView):
    def authenticate(self, request: HttpRequest) -> Any:
        if request.headers.get("Authorization") == "Token of-the-hosts":
            return self.user
        return None

    user: Any = None


@pytest.mark.parametrize("header", ["Token of-the-hosts", "Token made-up", ""])
def test_a_host_authenticates_as_it_does(user: Any, header: str) -> None:
    view: Any = TokenView.as_view(user=user)
    request = RequestFactory().post("/", data=QUESTION, content_type=JSON, headers={"Authorization": header})

    told = json.loads(view(request).content)

    assert ("errors" in told) == (header != "Token of-the-hosts")


def test_strangers_are_answered_before_their_body_is_read() -> None:
    request = RequestFactory().post("/", data=b"{" * 1000, content_type=JSON)

    answer: Any = HealthKitGraphQLView.as_view()(request)

    told = json.loads(answer.content)
    assert (answer.status_code, told["errors"][0]["extensions"]["code"]) == (200, "unauthenticated")
    assert len(request.read()) == 1000


def test_a_hosts_schema_may_be_open_to_strangers() -> None:
    @strawberry.type
    class Query:
        @strawberry.field
        def hello(self) -> str:
            return "you"

    view: Any = HealthKitGraphQLView.as_view(schema=GuardedSchema(Query), open_to_strangers=True)
    request = RequestFactory().post("/", data=b'{"query": "{ hello }"}', content_type=JSON)
    request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]

    assert json.loads(view(request).content) == {"data": {"hello": "you"}}


@pytest.mark.parametrize("method", ["get", "put", "delete", "head", "options", "patch"])
def test_only_post_is_answered(app: Client, method: str) -> None:
    answer = getattr(app, method)(f"{URL}?query={TYPES}", headers={"Accept": "text/html"})

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    if method != "head":
        assert_problem(answer, 405, "method_not_allowed", "NEVER")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (QUESTION, "text/plain"),
        (QUESTION, ""),
        (QUESTION, "application/x-www-form-urlencoded"),
        (TYPES, "application/graphql"),
        (b"[" + QUESTION + b"]", JSON),
        (b"[]", JSON),
        (b'"text"', JSON),
        (b"null", JSON),
        (b"{}", JSON),
        (b'{"query": 5}', JSON),
        (b'{"query": "{ healthkitTypes { kind } }", "variables": []}', JSON),
        (b'{"query": "{ healthkitTypes { kind } }", "variables": "{}"}', JSON),
        (b'{"query": "{ healthkitTypes { kind } }", "extensions": 5}', JSON),
        (b'{"query": "query A { healthkitTypes { kind } }", "operationName": "B"}', JSON),
        (b'{"query": "query A { healthkitTypes { kind } }", "operationName": ["A"]}', JSON),
        (b'{"query": "query A { healthkitTypes { kind } }", "operationName": {}}', JSON),
        (b'{"query": "subscription { x }"}', JSON),
    ],
)
def test_what_is_no_question_is_refused(app: Client, body: Any, content_type: str) -> None:
    answer = send(app, body, content_type)

    if answer.status_code == 200:
        assert answer.json()["errors"][0]["extensions"]["code"] == "invalid_query"
    else:
        assert_problem(answer, 400, "invalid_query")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe",
        b'{"query": "\xff"}',
        b'{"query": NaN}',
        b"{} {}",
        b" " * 100_000,
    ],
)
def test_what_is_no_json_is_refused(app: Client, body: bytes) -> None:
    assert_problem(send(app, body), 400, "malformed_body")


def test_another_charset_is_refused(app: Client) -> None:
    body = json.dumps({"query": TYPES, "variables": {"größe": 1}}, ensure_ascii=False).encode("latin-1")

    answer = app.generic("POST", URL, body, f"{JSON}; charset=latin-1")

    assert_problem(answer, 400, "malformed_body")


@pytest.mark.parametrize(
    ("body", "encoding", "status", "code"),
    [
        (b"never gzip", "gzip", 400, "corrupt_encoding"),
        (gzip.compress(QUESTION)[:-9], "gzip", 400, "corrupt_encoding"),
        (QUESTION, "br", 415, "unsupported_encoding"),
    ],
)
def test_an_encoding_that_cannot_be_read_is_refused(
    app: Client, body: bytes, encoding: str, status: int, code: str
) -> None:
    assert_problem(send(app, body, **{"Content-Encoding": encoding}), status, code)


@pytest.mark.parametrize("setting", ["MAX_BODY_BYTES", "MAX_DECODED_BYTES"])
def test_a_bomb_is_refused(app: Client, settings: Any, setting: str) -> None:
    settings.HEALTHKIT_INGEST = {setting: 100_000}
    bomb = gzip.compress(b'{"query": "' + b"x" * (100_000 + DOCUMENT_BYTES))

    assert_problem(send(app, bomb, **{"Content-Encoding": "gzip"}), 413, "body_too_large", "SPLIT")


def test_too_large_is_said_before_it_is_read(app: Client, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"MAX_BODY_BYTES": 1000}

    assert_problem(send(app, b" " * (1001 + DOCUMENT_BYTES)), 413, "body_too_large", "SPLIT")


def test_a_length_that_lies_is_found_out(app: Client, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"MAX_BODY_BYTES": 1000}
    body = gzip.compress(os.urandom(200_000))
    request = RequestFactory().post("/", data=body, content_type=JSON, headers={"Content-Encoding": "gzip"})
    request.META["CONTENT_LENGTH"] = "10"
    request._stream = io.BytesIO(body)

    assert ask_as(request).status_code == 413


def test_a_body_without_a_length_is_read_where_the_server_ends_it() -> None:
    """As gunicorn hands over ``Transfer-Encoding: chunked``; Django takes it for an empty body."""
    made = RequestFactory().post("/", data=b"", content_type=JSON)
    body = {"wsgi.input": io.BytesIO(QUESTION), "wsgi.input_terminated": True}
    request = type(made)({**made.META, **body, "CONTENT_TYPE": JSON, "CONTENT_LENGTH": ""})

    answer = ask_as(request)

    assert (answer.status_code, "errors" in json.loads(answer.content)) == (200, False), answer.content


@pytest.mark.parametrize("form", [False, True])
def test_a_body_that_broke_off_is_asked_for_again(form: bool) -> None:
    files = {"operations": "{}", "map": "{}", "0": SimpleUploadedFile("a", b"x" * 1000)}
    made = RequestFactory()
    whole = made.post("/", data=files) if form else made.post("/", data=QUESTION, content_type=JSON)
    body = whole.read()
    request = RequestFactory().generic("POST", "/", body[: len(body) // 2], whole.META["CONTENT_TYPE"])
    request.META["CONTENT_LENGTH"] = str(len(body))

    answer = ask_as(request)

    assert (answer.status_code, json.loads(answer.content)["retry"]) == (503, "LATER")
    assert int(answer.headers["Retry-After"]) > 0


def ask_as(request: Any) -> Any:
    """By somebody, past the session."""
    from django_healthkit_ingest.testing.factories import UserFactory

    request.user = UserFactory.create()
    request._dont_enforce_csrf_checks = True
    return HealthKitGraphQLView.as_view()(request)


OPERATIONS = json.dumps({"query": INGEST, "variables": {"input": {"file": None, "list": [None]}}})


@pytest.mark.parametrize(
    ("operations", "files_map"),
    [
        (OPERATIONS, '{"0": ["variables.input.file.deeper"]}'),
        (OPERATIONS, '{"0": ["variables.nowhere.file"]}'),
        (OPERATIONS, '{"0": ["variables.input.list.7"]}'),
        (OPERATIONS, '{"0": ["variables.input.list.x"]}'),
        (OPERATIONS, '{"0": ["variables.input.list.-9"]}'),
        (OPERATIONS, '{"0": ["query"]}'),
        (OPERATIONS, '{"0": ["variables"]}'),
        (OPERATIONS, '{"0": [""]}'),
        (OPERATIONS, '{"0": [5]}'),
        (OPERATIONS, '{"0": 5}'),
        (OPERATIONS, '{"0": null}'),
        (OPERATIONS, '{"1": ["variables.input.file"]}'),
        (OPERATIONS, "[]"),
        (OPERATIONS, "5"),
        (OPERATIONS, "{"),
        (OPERATIONS, ""),
        ("[]", "{}"),
        ("{", "{}"),
        ("", "{}"),
        ("5", '{"0": ["a"]}'),
        ('{"a": ' + "[" * 900 + "]" * 900 + "}", '{"0": ["b"]}'),
        ("x" * 3_000_000, "{}"),
    ],
)
def test_forms_with_tricks_are_refused(app: Client, operations: str, files_map: str) -> None:
    form = {"operations": operations, "map": files_map, "0": SimpleUploadedFile("a", b"{}")}

    answer = app.post(URL, data=form)

    told = answer.json()
    problem = told["errors"][0]["extensions"] if answer.status_code == 200 else told
    assert 400 <= problem["status"] < 500
    assert problem["retry"] == "FIX"
    assert not ImportBatch.objects.using(database()).exists()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"never a form", "multipart/form-data; boundary=abc"),
        (b"never a form", "multipart/form-data"),
        (b"--abc\r\n" * 1000, "multipart/form-data; boundary=abc"),
        (b"", "multipart/form-data; boundary=abc"),
    ],
)
def test_what_is_no_form_is_refused(app: Client, body: bytes, content_type: str) -> None:
    answer = send(app, body, content_type)

    assert answer.status_code == 400
    assert answer.json()["retry"] == "FIX"


def test_too_many_files_are_refused(app: Client) -> None:
    form = {"operations": "{}", "map": "{}", **{str(n): SimpleUploadedFile("a", b"x") for n in range(101)}}

    assert_problem(app.post(URL, data=form), 400, "invalid_envelope")


def test_an_answer_comes_after_the_commit() -> None:
    view: Any = HealthKitGraphQLView.as_view()

    assert view._non_atomic_requests == set(connections)


def test_answers_are_nobody_elses_to_keep(app: Client) -> None:
    for answer in (send(app, QUESTION), send(app, b"{"), send(Client(), QUESTION)):
        assert answer.headers["Cache-Control"] == "private, no-store"


def test_requests_are_limited_field_by_field(app: Client, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"RATE_LIMITS": {"requests": "5/hour"}}

    two = send(app, json.dumps({"query": f"{{ a: {TYPES[2:-1]} b: {TYPES[2:-1]} }}"}))
    four = send(app, json.dumps({"query": "{" + " ".join(f"a{n}: {TYPES[2:-1]}" for n in range(4)) + "}"}))

    read(two)
    assert two.headers["RateLimit-Policy"] == '"requests";q=5;w=3600'
    assert two.headers["RateLimit"].startswith('"requests";r=3;')
    (error,) = four.json()["errors"]
    assert (four.status_code, error["extensions"]["code"]) == (200, "rate_limited")
    assert error["extensions"]["retryAfter"] > 0
    assert error["path"] == ["a3"]
    assert four.headers["Retry-After"] == str(error["extensions"]["retryAfter"])
    assert four.headers["RateLimit"].startswith('"requests";r=0;')
    assert send(app, QUESTION).headers["RateLimit"].startswith('"requests";r=0;')


def test_both_doors_draw_from_one_bucket(app: Client, phone: Client, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"RATE_LIMITS": {"requests": "2/hour"}}

    read(send(app, QUESTION))
    assert phone.get("/health/types/").status_code == 200
    assert send(app, QUESTION).json()["errors"][0]["extensions"]["code"] == "rate_limited"


def test_bytes_and_records_are_limited(app: Client, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"RATE_LIMITS": {"bytes": "10/hour", "records": "10/hour"}}
    body = json.loads(healthkit_body(quantity()))

    first = post(app, INGEST, input={"body": body})
    second = post(app, INGEST, input={"body": body})

    read(first)
    assert '"bytes";r=0' in first.headers["RateLimit"]
    assert '"records";r=9' in first.headers["RateLimit"]
    assert second.json()["errors"][0]["extensions"]["code"] == "rate_limited"
    assert ImportBatch.objects.using(database()).count() == 1


@pytest.mark.parametrize("by_token", [True, False])
def test_a_device_has_a_bucket_of_its_own(user: Any, settings: Any, by_token: bool) -> None:
    settings.HEALTHKIT_INGEST = {"RATE_LIMITS": {"device_requests": "1/hour"}}
    phone = with_device(create_device(user=user, device_id="6F0C").token) if by_token else signed_in(user)
    argument = "" if by_token else '(device: "6F0C")'

    for query in ("{ healthkitContract%s { start } }", "{ healthkitSyncState%s { type } }"):
        answer = post(phone, query % argument)

    assert answer.json()["errors"][0]["extensions"]["code"] == "rate_limited"
    read(post(signed_in(user), TYPES))


def test_the_ready_made_schema_has_no_ide_and_no_batches() -> None:
    view = HealthKitGraphQLView(graphql_ide="graphiql", allow_queries_via_get=True)

    assert (view.graphql_ide, view.allow_queries_via_get, view.schema) == (None, False, schema)
    assert schema.config.batching_config is None
