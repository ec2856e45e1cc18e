"""Keys that one JSON object has twice. Readers take the last one and are silent about the others: half a body is lost.

Only around the records; in a record the last one counts, for looking at each would cost as much as reading it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from django_healthkit_ingest.core.formats.body import guarded
from django_healthkit_ingest.core.json_text import replace_lone_surrogates

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_KEY = re.compile(rb'[\s{,]*+("(?:[^"\\]++|\\.)*+")\s*+:\s*+', re.DOTALL)
_AFTER = re.compile(rb"\s*+[,}]")


def is_all(text: bytes, read: msgspec.Struct) -> bool:
    """Whether ``text`` is what ``read`` was read from and nothing besides, no space and no null: then no key was there
    twice, for that would have taken bytes. True of what most encoders write, and far cheaper than looking.

    ``read`` omits its defaults; its lists hold raw JSON.
    """
    shell, contents = _hollow(read)
    return len(text) == len(msgspec.json.encode(shell)) + contents


def find_repeats(
    text: bytes | msgspec.Raw, *, known: Collection[str], at: str = "", inside: Collection[str] = ()
) -> list[str]:
    """JSON pointers, ``at`` being this well-formed JSON's: one if its outermost object has a key twice, and one for
    each of its members ``inside`` that has; down to the key if it is ``known``. What is no object has no keys.
    """
    text, members = _read(bytes(text))
    name = _find_repeat(text, members)
    found = [] if name is None else [f"{at}/{name}" if name in known else at]
    for member in inside:
        if member in members:
            found += find_repeats(members[member], known=known, at=f"{at}/{member}")
    return found


def _find_repeat(text: bytes, members: Mapping[str, msgspec.Raw]) -> str | None:
    seen: set[str] = set()
    place = 0
    while (key := _KEY.match(text, place)) is not None:
        name = msgspec.json.decode(key[1], type=str)
        last = bytes(members[name])
        place = key.end() + len(last)
        if name in seen or not text.startswith(last, key.end()) or _AFTER.match(text, place) is None:
            return name
        seen.add(name)
    return None


def _read(text: bytes) -> tuple[bytes, dict[str, msgspec.Raw]]:
    """The text as it can be read, and its members; of a key that is there twice, the last."""
    try:
        return text, _MEMBERS.decode(text)
    except msgspec.ValidationError:
        return text, {}
    except (msgspec.DecodeError, RecursionError):
        text = replace_lone_surrogates(text)
    return text, guarded(_MEMBERS.decode, text)


def _hollow(read: msgspec.Struct) -> tuple[msgspec.Struct, int]:
    """Without what its lists hold, and the bytes that this had."""
    hollow: dict[str, Any] = {}
    contents = 0
    for name, value in msgspec.structs.asdict(read).items():
        if isinstance(value, list):
            hollow[name] = []
            contents += sum(map(len, value)) + len(value) - 1 if value else 0
        elif isinstance(value, msgspec.Struct):
            hollow[name], inside = _hollow(value)
            contents += inside
    return msgspec.structs.replace(read, **hollow), contents
