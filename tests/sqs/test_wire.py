from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from django_healthkit_ingest import queues
from django_healthkit_ingest.sqs.wire import Kind, read

SECRET = "HKSecret7351"


def wrapped(body: Any, *, task: str = queues.PROCESS_CHUNK, encoding: str = "base64") -> str:
    text = json.dumps(body)
    inner = base64.b64encode(text.encode()).decode() if encoding == "base64" else text
    envelope = {"body": inner, "headers": {"task": task, "id": "a-1"}, "properties": {"body_encoding": encoding}}
    return json.dumps(envelope)


@pytest.mark.parametrize("encode", [str, lambda text: base64.b64encode(text.encode()).decode()])
@pytest.mark.parametrize("encoding", ["base64", "utf-8"])
def test_a_message_is_read_in_every_encoding_of_kombus(encode: Callable[[str], str], encoding: str) -> None:
    content = read(encode(wrapped([[], {"chunk_id": 7, "version": 9, "later": SECRET}, {}], encoding=encoding)))

    assert (content.kind, content.task, content.task_id) == (Kind.OURS, queues.PROCESS_CHUNK, "a-1")
    assert content.subject == 7


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "\ud800",
        "[" * 100_000,
        '{"headers": null}',
        '{"headers": {"task": "a.b"}}',
        '{"headers": {"task": ["a"], "id": "1"}}',
        wrapped([[], {"chunk_id": "7"}, {}]),
        wrapped([[], {"chunk_id": True}, {}]),
        wrapped([[], {"upload_id": 7}, {}]),
        wrapped({"chunk_id": 7}),
        wrapped([[7], {}, {}]),
        wrapped([[], {"chunk_id": 7}, {}], task="two words"),
        '{"body": "gAR9lC4=", "headers": {"task": "healthkit_ingest.process_chunk", "id": "1"}, "properties": []}',
    ],
)
def test_whatever_else_lies_in_the_queue_is_unreadable_and_no_error(text: str) -> None:
    assert read(text).kind is Kind.UNREADABLE
