"""JSON Schema (draft 2020-12, as OpenAPI 3.1 has it) of our dataclasses: a field's docstring is its description."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field
from datetime import datetime
from enum import Enum
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from textwrap import dedent
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict
from uuid import UUID

import msgspec

PREFIX = "HealthKit"
"""Of every component: a host's document has a Source of its own. The GraphQL schema has the same names."""

ENVELOPE = f"{PREFIX}ImportRequest"
"""The body that this package defines; its parts are components whose names begin with it."""

_RENAMED = {"ErrorCode": "Error", "Order": "UploadOrder", "TypeState": "SyncState"}
_PACKAGE = __name__.partition(".")[0]
_PLAIN: Mapping[Any, Mapping[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    UUID: {"type": "string", "format": "uuid"},
    datetime: {"type": "string", "format": "date-time"},
    NoneType: {"type": "null"},
    Any: {},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Schemas by name, of everything that was shown so far."""

    schemas: dict[str, dict[str, Any]] = field(default_factory=dict)

    def show(self, hint: Any) -> dict[str, Any]:
        """The schema of a type, our own ones by reference. Raises TypeError for a type nobody has taught us."""
        origin, arguments = get_origin(hint), get_args(hint)
        if hint in _PLAIN:
            return dict(_PLAIN[hint])
        if origin is Annotated:
            extras = (each.extra_json_schema or {} for each in hint.__metadata__ if isinstance(each, msgspec.Meta))
            return {key: value for each in (self.show(arguments[0]), *extras) for key, value in each.items()}
        if origin in (Union, UnionType):
            return _any_of([self.show(each) for each in arguments])
        if inspect.isclass(origin) and issubclass(origin, Mapping):
            values = self.show(arguments[1])
            return {"type": "object", "additionalProperties": values} if values else {"type": "object"}
        if inspect.isclass(origin) and issubclass(origin, Sequence):
            return {"type": "array", "items": self.show(arguments[0])}
        if inspect.isclass(origin or hint) and hint.__module__.startswith(_PACKAGE):
            return self._refer(hint)
        raise TypeError(f"No schema is known for {hint!r}.")

    def _refer(self, hint: Any) -> dict[str, Any]:
        name = _name(hint)
        if name not in self.schemas:
            self.schemas[name] = {}  # so that it may hold itself
            self.schemas[name] = self._describe(hint)
        return refer(name)

    def _describe(self, hint: Any) -> dict[str, Any]:
        cls = get_origin(hint) or hint
        text = {"description": _markdown(cls.__doc__)} if _has_own_text(cls) else {}
        if issubclass(cls, Enum):
            notes = _notes(cls)
            meanings = [f"- `{each.value}`: {notes[each.name]}" for each in cls if each.name in notes]
            text = {"description": "\n".join(filter(None, [text.get("description", ""), *meanings]))}
            return {**text, "type": "string", "enum": [each.value for each in cls]}
        variables = dict(zip(getattr(cls, "__parameters__", ()), get_args(hint), strict=True))
        notes = _notes(cls)
        properties = {}
        for key, type_ in get_type_hints(cls, include_extras=True).items():
            note = {"description": notes[key]} if key in notes else {}
            properties[key] = {**note, **self.show(_filled(type_, variables))}
        shape = {**text, "type": "object", "properties": properties}
        required = [key for key in properties if _is_required(cls, key)]
        return {**shape, "required": required} if required else shape


def refer(name: str, *, kind: str = "schemas") -> dict[str, Any]:
    return {"$ref": f"#/components/{kind}/{name}"}


def envelope() -> dict[str, dict[str, Any]]:
    """The shipped schema of the format ``healthkit`` as components: its definitions are pulled out beside it."""
    path = files(_PACKAGE).joinpath("core/formats/healthkit.schema.json")
    text = path.read_text(encoding="utf-8").replace("#/$defs/", f"#/components/schemas/{ENVELOPE}.")
    schema: dict[str, Any] = _plain(json.loads(text))
    parts = {f"{ENVELOPE}.{name}": part for name, part in schema.pop("$defs").items()}
    return {ENVELOPE: {key: value for key, value in schema.items() if key not in ("$schema", "$id")}, **parts}


def _plain(schema: Any) -> Any:
    """In words that drf-spectacular's own hook understands: it expects no boolean among properties, and would make a
    component of every property's ``enum``, named for the property alone."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _plain(value) for key, value in schema.items()}
    if isinstance(plain.get("properties"), dict):
        plain["properties"] = {name: _plain_property(each) for name, each in plain["properties"].items()}
    return plain


def _plain_property(schema: Any) -> dict[str, Any]:
    if isinstance(schema, bool):
        return {} if schema else {"not": {}}
    return {"allOf": [schema]} if "enum" in schema else schema


def _any_of(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    null = dict(_PLAIN[NoneType])
    others = [each for each in schemas if each != null]
    if len(others) == len(schemas) or len(others) != 1 or "type" not in others[0]:
        return {"anyOf": schemas}
    return {**others[0], "type": [others[0]["type"], "null"]}


def _filled(hint: Any, variables: Mapping[Any, Any]) -> Any:
    """With a generic's variables replaced."""
    if isinstance(hint, TypeVar):
        return variables[hint]
    free = getattr(hint, "__parameters__", ())
    return hint[tuple(variables[each] for each in free)] if free else hint


def _name(hint: Any) -> str:
    name: str = (get_origin(hint) or hint).__name__
    if arguments := get_args(hint):
        return f"{_name(arguments[0])}Page"
    return PREFIX + _RENAMED.get(name, name.removesuffix("View").removesuffix("Status") or name)


def _is_required(cls: Any, key: str) -> bool:
    if is_typeddict(cls):
        return key in cls.__required_keys__
    if issubclass(cls, msgspec.Struct):
        return any(each.name == key and each.required for each in msgspec.structs.fields(cls))
    known = cls.__dataclass_fields__[key]
    return known.default is MISSING and known.default_factory is MISSING


def _has_own_text(cls: Any) -> bool:
    """A dataclass without docstring is given its signature as one."""
    return bool(cls.__doc__) and not cls.__doc__.startswith(f"{cls.__name__}(")


@lru_cache
def _notes(cls: Any) -> Mapping[str, str]:
    """The docstrings under the names of a class and of those it inherits from; none where the source is not there."""
    found: dict[str, str] = {}
    for each in reversed(getattr(cls, "__mro__", (cls,))):
        if each.__module__.startswith(_PACKAGE):
            found.update(_read_notes(each))
    return found


def _read_notes(cls: Any) -> Iterator[tuple[str, str]]:
    try:
        (tree,) = ast.parse(dedent(inspect.getsource(cls))).body
    except OSError:
        return
    assert isinstance(tree, ast.ClassDef)
    for statement, below in pairwise(tree.body):
        match statement, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, _markdown(text)


def _markdown(text: str) -> str:
    text = " ".join(inspect.cleandoc(text).replace("``", "`").split())
    return re.sub(r"\bNone\b", "null", text)
