"""The SDL of the GraphQL door: ``python -m tests.graphql_document > docs/reference/schema.graphql``.

The same whichever library made it, and whenever: definitions by name, and scalars by their name alone, since each
library has its own words for them.
"""

from __future__ import annotations

import os
import sys

import django
from graphql import DefinitionNode, ScalarTypeDefinitionNode, TypeDefinitionNode, parse, print_ast, print_schema


def write() -> str:
    from django_healthkit_ingest.adapters.strawberry.schema import schema

    return normalise(print_schema(schema._schema))


def normalise(sdl: str) -> str:
    return "\n\n".join(map(_print, sorted(parse(sdl).definitions, key=_name))) + "\n"


def _print(definition: DefinitionNode) -> str:
    if isinstance(definition, ScalarTypeDefinitionNode):
        return f"scalar {definition.name.value}"
    return print_ast(definition)


def _name(definition: DefinitionNode) -> str:
    return definition.name.value if isinstance(definition, TypeDefinitionNode) else ""


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    sys.stdout.write(write())
