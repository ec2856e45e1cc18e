"""The Dart client without Dart: its requests are recorded, and here they are made of a real server.

What its source says to a server is held to what was recorded, so that neither changes without the other.
"""

from __future__ import annotations

import gzip
import http.client
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from celery import current_app
from django.test import override_settings
from rest_framework.authtoken.models import Token

from django_healthkit_ingest.core.states import FINAL, Pausable
from django_healthkit_ingest.models import HealthSample, ImportBatch, database
from django_healthkit_ingest.pipeline.problems import ANSWERS
from django_healthkit_ingest.pipeline.switches import pause, resume

FOLDER = Path(__file__).parents[2] / "docs" / "clients" / "dart"
SOURCE = (FOLDER / "healthkit_sync.dart").read_text(encoding="utf-8")
STORY: Mapping[str, Any] = json.loads((FOLDER / "requests.json").read_text(encoding="utf-8"))

Recorded = Mapping[str, Any]

ITS_OWN = re.compile(r"dart:\w+|.*\$\{?\w+.*(?<!/)|.*\.(tried|problem)|\.json\.gz|parked|[0_.]?")
"""Names of its files and what they are made of: no server sees them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: int
    headers: http.client.HTTPMessage
    content: Any


def ask(recorded: Recorded, *, url: str, token: str, last_import: str) -> Reply:
    path = recorded["path"].replace("$id", recorded.get("id", last_import))
    query = f"?{urlencode(recorded['query'])}" if "query" in recorded else ""
    content = json.dumps(recorded["body"], separators=(",", ":")).encode() if "body" in recorded else None
    if recorded.get("encoding") == "gzip":
        content = gzip.compress(content or b"")
    authorization = f"Token {token}" if recorded["authorization"] == "valid" else "Token expired"
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        headers = {"Authorization": authorization, **recorded.get("headers", {})}
        connection.request(recorded["method"], f"/health/{path}{query}", body=content, headers=headers)
        answer = connection.getresponse()
        return Reply(status=answer.status, headers=answer.headers, content=json.loads(answer.read()))
    finally:
        connection.close()


def as_it_was(recorded: Recorded) -> ExitStack:
    """The server in the state it had for this request."""
    state = recorded.get("server", {})
    with ExitStack() as stack:
        if "max_decoded_bytes" in state:
            limit = {"MAX_DECODED_BYTES": state["max_decoded_bytes"]}
            stack.enter_context(override_settings(HEALTHKIT_INGEST=limit))
        if state.get("paused"):
            pause(Pausable.INTAKE)
            stack.callback(resume, Pausable.INTAKE)
        return stack.pop_all()


def find(content: Any, path: str) -> Any:
    """What ``a.0.b`` names. Raises LookupError where there is nothing, as null is something."""
    for step in path.split("."):
        content = content[int(step)] if step.isdigit() else content[step]
    return content


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_the_story_is_told_to_a_server(live_server: Any, user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(current_app.conf, "task_always_eager", True)
    monkeypatch.setitem(current_app.conf, "task_eager_propagates", True)
    token, last_import = Token.objects.create(user=user).key, ""
    words = set()
    for recorded in STORY["requests"]:
        expected = recorded["expect"]

        with as_it_was(recorded):
            reply = ask(recorded, url=live_server.url, token=token, last_import=last_import)

        assert reply.status == expected["status"], (recorded["says"], reply.content)
        for path in expected["reads"]:
            find(reply.content, path)
        for name in expected.get("headers", []):
            assert name in reply.headers, recorded["says"]
        if "retry" in expected:
            assert reply.content["retry"] == expected["retry"], recorded["says"]
            words.add(reply.content["retry"])
        if expected.get("finished"):
            assert reply.content["status"] == "COMPLETED", recorded["says"]
        if recorded["method"] == "POST" and reply.status == 202:
            last_import = reply.content["id"]
        if "idempotency_key" in recorded.get("query", {}):
            assert reply.content["results"][0]["id"] == last_import, "the receipt is of what was sent"

    samples = HealthSample.objects.using(database()).for_user(user)
    assert sorted(str(sample.uuid).upper() for sample in samples) == STORY["left"]
    assert words == {answer.retry for answer in ANSWERS.values()}, "each word there is happens in the story"
    batches = ImportBatch.objects.using(database()).for_user(user)
    accepted = [each for each in STORY["requests"] if each["expect"]["status"] == 202]
    assert batches.count() == len(accepted)
    assert {batch.format for batch in batches} == {"flutter"}


def test_the_source_makes_the_requests_of_the_story_and_no_others() -> None:
    recorded = {(each["method"], each["path"], name) for each in STORY["requests"] for name in each.get("query", [""])}

    assert set(requests_in(SOURCE)) == recorded


def requests_in(source: str) -> Iterator[tuple[str, str, str]]:
    """Method, path and query parameter of each call."""
    for path, name in re.findall(r"_get\('([^']+)', \{'(\w+)': ", source):
        yield "GET", path, name
    for method, path, rest in re.findall(r"_once\('(\w+)', '([^']+)', ([^;]+);", source):
        yield method, path, (re.findall(r"query: \{'(\w+)'", rest) or [""])[0]


def test_the_source_says_the_words_of_the_story_and_no_others() -> None:
    code = re.sub(r"//.*", "", SOURCE)
    texts = set(re.findall(r"'((?:[^'\\]|\\.)*)'", code))

    said = {text for text in texts if not ITS_OWN.fullmatch(text)}

    assert said == set(words_of_the_story())


def words_of_the_story() -> Iterator[str]:
    """Whatever a server sees or sends that the source must call by its name."""
    yield "Authorization"
    yield from STORY["finished"]
    for each in STORY["requests"]:
        yield from (each["method"], each["path"])
        yield from each.get("query", {})
        yield from (value for name, value in each.get("query", {}).items() if name == "wait")
        yield from each.get("headers", {})
        yield from (value for name, value in each.get("headers", {}).items() if name != "Idempotency-Key")
        yield from (step for path in each["expect"]["reads"] for step in path.split(".") if not step.isdigit())
        yield from each["expect"].get("headers", [])
        yield from [each["expect"]["retry"]] if "retry" in each["expect"] else []
        yield from words_of_the_body(each.get("body", {}))


def words_of_the_body(body: Mapping[str, Any]) -> Iterator[str]:
    if body:
        yield from (*body, *body["device"], body["format"], "dateFrom")
    for window in body.get("windows", []):
        yield from window


def test_a_status_is_final_for_the_source_if_it_is_for_the_server() -> None:
    assert STORY["finished"] == sorted(FINAL)


@pytest.mark.parametrize(
    "recorded", [each for each in STORY["requests"] if "body" in each], ids=lambda each: each["says"]
)
def test_what_is_sent_again_is_the_same_and_nothing_else_is(recorded: Recorded) -> None:
    twins = [each for each in STORY["requests"] if "body" in each]
    same_key = [each for each in twins if each["headers"] == recorded["headers"]]
    same_body = [each for each in twins if each["body"] == recorded["body"]]

    assert same_key == same_body


def test_the_halves_say_what_the_whole_said() -> None:
    requests = STORY["requests"]
    place = next(n for n, each in enumerate(requests) if each["expect"].get("retry") == "SPLIT")
    whole, first, last = (each["body"] for each in requests[place : place + 3])
    middle = first["windows"][0]["end"]

    assert first["samples"] + last["samples"] == whole["samples"]
    assert all(sample["dateFrom"] < middle for sample in first["samples"])
    assert all(sample["dateFrom"] >= middle for sample in last["samples"])
    assert [first["windows"][0], last["windows"][0]] == [
        {**whole["windows"][0], "end": middle},
        {**whole["windows"][0], "start": middle},
    ]
