"""Points of the Flutter package ``health`` before 11, rewritten as 11 to 13 write them.

4.0 to 9.x have no ``__type`` and write numbers as text (4.0 to 4.4 also names in lower case); 10.x has snake case
within the value too. The keys are data: ``catalogue/flutter_generations.json``. None of them has a uuid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from django_healthkit_ingest.core.catalogue import load
from django_healthkit_ingest.core.formats.flutter_values import names
from django_healthkit_ingest.core.formats.records import keys, read_members
from django_healthkit_ingest.core.json_text import UNREADABLE


class Translated(NamedTuple):
    point: msgspec.Raw
    """In today's shape, and whole: what has no name there keeps its own."""
    fields: Mapping[str, str]
    """What the sender calls the fields of today's shape."""


class _Generations(msgspec.Struct, frozen=True):
    marks: frozenset[str]
    keys: dict[str, str]
    platforms: dict[str, str]
    recording_methods: dict[str, str]
    upper_case: tuple[str, ...]
    value_keys: dict[str, str]
    summary_keys: dict[str, str]
    numbers_as_text: frozenset[str]


def translate(raw: msgspec.Raw) -> Translated | None:
    """None if this is no point of an older generation. Never raises."""
    known = _generations()
    if not known.marks & keys(raw):
        return None
    sent = read_members(raw, field="")
    fields = {today: old for old, today in reversed(known.keys.items()) if today not in sent}
    fields |= {today: old for old, today in known.keys.items() if old in sent and today in fields}
    point = {key: member for key, member in sent.items() if key not in fields.values()}
    point |= {today: sent[old] for today, old in fields.items() if old in sent}
    for name in known.upper_case:
        _change(point, name, lambda text: text.upper() if isinstance(text, str) else text)
    value_fields = _value_fields(point)
    type_name = _read(point.get("type"))
    _change(point, "value", lambda value: _today(value, type_name=type_name))
    _change(point, "workoutSummary", lambda summary: _renamed(summary, known.summary_keys))
    _change(point, "sourcePlatform", lambda platform: known.platforms.get(str(platform), platform))
    if "recordingMethod" in fields:
        _change(point, "recordingMethod", lambda manual: known.recording_methods[str(manual).lower()], only=bool)
    return Translated(point=msgspec.Raw(msgspec.json.encode(point)), fields=fields | value_fields)


def _value_fields(point: Mapping[str, msgspec.Raw]) -> dict[str, str]:
    sent = keys(point.get("value", msgspec.Raw(b"{}")))
    fields = {f"value.{today}": f"value.{old}" for old, today in _generations().value_keys.items() if old in sent}
    return fields if "__type" in sent else fields | {"value.__type": "value"}


def _today(value: Any, *, type_name: object) -> Any:
    """The value with the class and the names it has today, and its numbers as numbers."""
    known = _generations()
    renamed = _renamed(value, known.value_keys)
    if not isinstance(renamed, dict):
        return value
    members = {
        name: _number(member) if name in known.numbers_as_text else _items_renamed(member)
        for name, member in renamed.items()
    }
    known_type = names().types.get(str(type_name))
    if "numericValue" in members:
        return {"__type": "NumericHealthValue"} | members
    return ({"__type": known_type.value_class} if known_type is not None else {}) | members


def _items_renamed(member: Any) -> Any:
    return [_renamed(item, _generations().value_keys) for item in member] if isinstance(member, list) else member


def _renamed(members: Any, names: Mapping[str, str]) -> Any:
    return {names.get(key, key): member for key, member in members.items()} if isinstance(members, dict) else members


def _number(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return msgspec.json.decode(text, type=float | list[float])
    except UNREADABLE:
        return text  # is refused as what it is: no number


def _change(
    point: dict[str, msgspec.Raw], name: str, change: Callable[[Any], Any], *, only: type | None = None
) -> None:
    """Leaves a member as it is that cannot be read; whoever needs it will say so."""
    if name not in point:
        return
    try:
        member = msgspec.json.decode(point[name])
        if only is None or isinstance(member, only):
            point[name] = msgspec.Raw(msgspec.json.encode(change(member)))
    except (*UNREADABLE, OverflowError):
        return


def _read(member: msgspec.Raw | None) -> object:
    try:
        return msgspec.json.decode(member) if member is not None else None
    except UNREADABLE:
        return None


@lru_cache(maxsize=1)
def _generations() -> _Generations:
    return msgspec.convert(load("flutter_generations.json"), _Generations)
