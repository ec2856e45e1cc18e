"""What a client is told of errors: our problems as they are, and of all else nothing that was sent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import NoneType

from graphql import GraphQLError
from strawberry.exceptions import MissingQueryError
from strawberry.extensions import SchemaExtension
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError

from django_healthkit_ingest.adapters.strawberry.problems import is_problem, refusal

UNEXPECTED = "Something unexpected happened here: keep the data and try again later."


class GuardsErrors(SchemaExtension):
    """Our problems are told, faults in the question too but without its values, and of all else that it happened."""

    def on_operation(self) -> Iterator[None]:
        try:
            yield
        except (MissingQueryError, CannotGetOperationTypeError, InvalidOperationTypeError):
            raise
        except Exception as error:  # noqa: BLE001 - raised again, without its text
            raise masked(error if isinstance(error, GraphQLError) else _unforeseen(error)) from None
        result = self.execution_context.result
        errors = getattr(result, "errors", None)
        if result is not None and errors:
            result.errors = [masked(error) for error in errors]


def masked(error: GraphQLError) -> GraphQLError:
    """What a client is told of an error of the schema's."""
    if is_problem(error) or (error.path is not None and error.extensions):  # a host's own, told on purpose
        return error
    if not is_the_clients(error):
        return GraphQLError(UNEXPECTED, nodes=error.nodes, path=error.path)
    told = refusal(_unquoted(error))
    return GraphQLError(
        told.message, error.nodes, source=error.source, positions=error.positions, extensions=told.extensions
    )


def is_the_clients(error: GraphQLError) -> bool:
    """Whether the question is at fault: found before anything is resolved, or in a field's arguments."""
    if error.path is not None:
        return error.message.startswith("Argument '")
    if isinstance(error.original_error, GraphQLError | RecursionError | NoneType):
        return True
    return error.nodes is not None  # a scalar of a variable's could not read its value


def _unforeseen(error: Exception) -> GraphQLError:
    return GraphQLError(UNEXPECTED, original_error=error)


_NAMES = re.compile(r"(?:'[\w.$@!\[\]]*'|[^'\"`0-9])*")
"""A message whose only quotations are names."""

_ABOUT_VALUES = re.compile(r"\b(?:values?|found|represent|syntax)\b", re.IGNORECASE)

_OF_A_VARIABLE = re.compile(r"Variable '(\$\w+)' (?:got|has) invalid value")


def _unquoted(error: GraphQLError) -> str:
    """graphql-core quotes what does not fit; names of fields, types and variables may stay."""
    message = error.message
    variable = _OF_A_VARIABLE.match(message)
    if variable is not None:
        return f"The value of {variable[1]} does not fit its type."
    is_graphqls = error.path is None and isinstance(error.original_error, GraphQLError | NoneType)
    if is_graphqls and _ABOUT_VALUES.search(message) is None and _NAMES.fullmatch(message) is not None:
        return message
    return "The question is not well-formed or does not fit the schema at the place that 'locations' names."
