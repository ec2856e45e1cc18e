"""From the bytes of a request to JSON: what every format does before it looks at the shape."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Any

import msgspec

from django_healthkit_ingest.core.json_text import replace_lone_surrogates
from django_healthkit_ingest.exceptions import MalformedBody

_BOM = codecs.BOM_UTF8
_PIECE = 2**20
_PEEKED_BYTES = 4096


def check_text(body: bytes) -> bytes:
    """The body without a byte order mark. Raises MalformedBody if it is not UTF-8, which raw records would hide."""
    text = body.removeprefix(_BOM)
    if not text.isascii():
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            for start in range(0, len(text), _PIECE):
                decoder.decode(text[start : start + _PIECE], final=start + _PIECE >= len(text))
        except UnicodeDecodeError:
            raise MalformedBody("the body is not UTF-8; encode it as UTF-8") from None
    return text


def guarded(decode: Callable[[bytes], Any], text: bytes) -> Any:
    """Raises MalformedBody for what is not JSON, ValidationError for JSON of the wrong shape."""
    try:
        return decode(text)
    except msgspec.ValidationError:
        raise
    except RecursionError:
        raise MalformedBody("the body is nested too deeply; flatten it") from None
    except msgspec.DecodeError:
        repaired = replace_lone_surrogates(text)
    if repaired == text:
        raise MalformedBody("the body is not well-formed JSON; send one JSON document") from None
    return guarded(decode, repaired)


def is_bare_array(body: bytes) -> bool:
    text = without_mark(body)
    return (text[:_PEEKED_BYTES].lstrip() or text.lstrip())[:1] == b"["


def without_mark(body: bytes) -> bytes:
    """The body without a byte order mark, unchecked."""
    return body.removeprefix(_BOM)
