from __future__ import annotations

import json

import pytest

from django_healthkit_ingest.core.json_text import MAX_DEPTH, read_object, replace_lone_surrogates
from django_healthkit_ingest.core.rejections import reasons
from django_healthkit_ingest.exceptions import RecordRejected


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b'{ "a" : [1, 2.50, -0, 1e30, true, null] }',
        '{"Größe": "Ada’s 🏃"}'.encode(),
        b'{"a": "\\ud83c\\udfc3 \\u00e4 \\\\u0000 \\\\ud800"}',
        b'{"a": 123456789012345678901234567890}',
    ],
)
def test_the_text_is_what_was_sent(raw: bytes) -> None:
    read = read_object(raw, field="metadata", max_bytes=1000)

    assert read.text == raw.decode()
    assert json.loads(read.text) == read.members


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b'{"a": 1e-20000}', '{"a":0.0}'),  # more decimals than numeric has
        (b'{"a": 0.' + b"0" * 20_000 + b"1}", '{"a":0.0}'),
        (b'{"a": 1.' + b"3" * 100 + b"}", '{"a":1.3333333333333333}'),
    ],
)
def test_numbers_jsonb_refuses_are_written_again(raw: bytes, text: str) -> None:
    assert read_object(raw, field="metadata", max_bytes=100_000).text == text


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"[]", "wrong_type"),
        (b'"a"', "wrong_type"),
        (b'{"a": "\\u0000"}', "nul_character"),
        (b'{"\\u0000": 1}', "nul_character"),
        (b'{"a": "\\\\\\u0000"}', "nul_character"),
        (b'{"a": "\\ud800"}', "invalid_text"),
        (b'{"a": "\\udc00x"}', "invalid_text"),
        (b'{"a": "\xff"}', "invalid_text"),
        (b'{"a": 1e400}', "number_out_of_range"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "number_out_of_range"),
        (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), "too_deep"),
        (b'{"a":' + b"[" * 3000 + b"]" * 3000 + b"}", "too_deep"),
        (b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "too_deep"),
        (b'{"a": "' + b"x" * 1_000_000 + b'"}', "too_long"),
    ],
)
def test_what_no_database_takes_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(RecordRejected) as caught:
        read_object(raw, field="metadata", max_bytes=900_000)

    assert (caught.value.field, caught.value.reason) == ("metadata", reason)


def test_many_siblings_are_not_deep() -> None:
    raw = b'{"a": [' + b",".join([b'{"v":[1]}'] * 5000) + b"]}"

    assert read_object(raw, field="metadata", max_bytes=100_000).text == raw.decode()


def test_the_deepest_that_is_taken() -> None:
    raw = b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH

    assert read_object(raw, field="metadata", max_bytes=100_000).text == raw.decode()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b'{"a":1,"b":2}', b'{ "b": 2, "a": 1 }', True),
        (b'{"a":0.1}', b'{"a":1e-1}', True),
        (b'{"a":"\\u00e4"}', '{"a":"ä"}'.encode(), True),
        (b'{"a":[1,2]}', b'{"a":[2,1]}', False),
        (b'{"a":123456789012345678901234567890}', b'{"a":123456789012345678901234567891}', False),
    ],
)
def test_the_digest_sees_content_only(one: bytes, other: bytes, same: bool) -> None:
    digests = [read_object(raw, field="", max_bytes=100).digest for raw in (one, other)]

    assert (digests[0] == digests[1]) is same


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        (b'"\\ud83d"', b'"\\ufffd"'),
        (b'"\\uDC00x"', b'"\\ufffdx"'),
        (b'"\\ud83d\\ud83c\\udfc3"', b'"\\ufffd\\ud83c\\udfc3"'),
        (b'"\\\\ud83d"', b'"\\\\ud83d"'),
        (b'"\\\\\\ud83d"', b'"\\\\\\ufffd"'),
        (b'"\\n\\ud83c\\udfc3"', b'"\\n\\ud83c\\udfc3"'),
    ],
)
def test_half_characters_are_replaced(text: bytes, repaired: bytes) -> None:
    assert replace_lone_surrogates(text) == repaired


def test_every_reason_has_a_sentence() -> None:
    assert all(code == code.lower() and sentence.endswith(".") for code, sentence in reasons().items())
