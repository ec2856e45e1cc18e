"""What a schema in the open needs: questions that are bounded before they are understood.

Everything counts with its fragments spread, in time linear in the document; graphql-core's own validation is not, so it
only sees what has passed here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    SelectionSetNode,
)
from strawberry.extensions import SchemaExtension

from django_healthkit_ingest.adapters.strawberry.masks import GuardsErrors
from django_healthkit_ingest.adapters.strawberry.problems import refusal

MAX_CHARACTERS = 20_000
MAX_TOKENS = 2_000
MAX_DEPTH = 16
"""Introspection as tools send it has 15 levels; our own fields have 5."""
MAX_FIELDS = 500
MAX_ALIASES = 30
MAX_LISTS = 3
"""Nested lists of an introspection: each multiplies its answer."""

LISTS_OF_THE_SCHEMA = frozenset({"fields", "inputFields", "interfaces", "possibleTypes", "types"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Of a part of a document, with all fragments spread."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    lists: int = 0
    """Nested, of a name that introspection uses, too."""
    schema_lists: int = 0
    """The same below ``__schema`` or ``__type``."""


class GuardsQuestions(SchemaExtension):
    """Refuses floods of depth, fields, aliases and tokens, for all fields of the schema."""

    def on_operation(self) -> Iterator[None]:
        self.execution_context.parse_options["max_tokens"] = MAX_TOKENS
        yield

    def on_parse(self) -> Iterator[None]:
        query = self.execution_context.query
        if query is not None and len(query) > MAX_CHARACTERS:
            raise refusal(f"A document has at most {MAX_CHARACTERS} characters; send data as variables.")
        yield

    def on_validate(self) -> Iterator[None]:
        document = self.execution_context.graphql_document
        fault = find_fault(document) if document is not None else None
        if fault is not None:
            self.execution_context.pre_execution_errors = [refusal(fault)]
        yield


GUARDS = (GuardsErrors, GuardsQuestions)
"""The extensions of a schema in the open; the first sees the errors of all others."""


def find_fault(document: DocumentNode) -> str | None:
    fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
    meter = _Meter(fragments)
    total = Extent()
    for each in document.definitions:
        if isinstance(each, OperationDefinitionNode):
            total = _beside(total, meter.measure(each.selection_set))
    limits = {"levels": MAX_DEPTH, "fields": MAX_FIELDS, "aliases": MAX_ALIASES, "nested lists": MAX_LISTS}
    found = (total.depth, total.fields, total.aliases, total.schema_lists)
    for (what, limit), amount in zip(limits.items(), found, strict=True):
        if amount > limit:
            return f"A question has at most {limit} {what}."
    return None


class _Meter:
    def __init__(self, fragments: dict[str, FragmentDefinitionNode]) -> None:
        self.fragments = fragments
        self.known: dict[str, Extent] = {}

    def measure(self, selections: SelectionSetNode | None) -> Extent:
        total = Extent()
        for each in selections.selections if selections is not None else ():
            if isinstance(each, FieldNode):
                total = _beside(total, _around(each, self.measure(each.selection_set)))
            elif isinstance(each, FragmentSpreadNode):
                total = _beside(total, self._fragment(each.name.value))
            else:
                total = _beside(total, self.measure(getattr(each, "selection_set", None)))
        return total

    def _fragment(self, name: str) -> Extent:
        """Nothing, where there is none or where it is in itself: validation says so."""
        if name in self.fragments and name not in self.known:
            self.known[name] = Extent()
            self.known[name] = self.measure(self.fragments[name].selection_set)
        return self.known.get(name, Extent())


def _beside(one: Extent, other: Extent) -> Extent:
    return Extent(
        depth=max(one.depth, other.depth),
        fields=one.fields + other.fields,
        aliases=one.aliases + other.aliases,
        lists=max(one.lists, other.lists),
        schema_lists=max(one.schema_lists, other.schema_lists),
    )


def _around(field: FieldNode, inner: Extent) -> Extent:
    name = field.name.value
    return Extent(
        depth=inner.depth + 1,
        fields=inner.fields + 1,
        aliases=inner.aliases + (field.alias is not None),
        lists=inner.lists + (name in LISTS_OF_THE_SCHEMA),
        schema_lists=inner.lists if name in ("__schema", "__type") else inner.schema_lists,
    )
