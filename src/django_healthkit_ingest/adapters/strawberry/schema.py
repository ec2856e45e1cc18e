"""A schema in the open, and the one that is ready for hosts without a schema of their own."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import strawberry
from graphql import GraphQLError
from strawberry.types import ExecutionContext

from django_healthkit_ingest.adapters.strawberry.guards import GUARDS
from django_healthkit_ingest.adapters.strawberry.masks import is_the_clients
from django_healthkit_ingest.adapters.strawberry.mutation import HealthKitMutation
from django_healthkit_ingest.adapters.strawberry.problems import is_problem
from django_healthkit_ingest.adapters.strawberry.query import HealthKitQuery

logger = logging.getLogger("django_healthkit_ingest")


class GuardedSchema(strawberry.Schema):
    """``strawberry.Schema`` with our guards before the host's extensions; its logs quote nothing that was sent."""

    def __init__(self, query: type, mutation: type | None = None, *, extensions: Iterable[Any] = (), **options: Any):
        super().__init__(query, mutation, extensions=[*GUARDS, *extensions], **options)

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """A client's faults are the client's to log; of what nobody foresaw the place and the traceback are told."""
        for error in errors:
            if not is_problem(error) and not error.extensions and not is_the_clients(error):
                crash = error.original_error
                place = ".".join(map(str, error.path or ()))
                # graphql-core's own errors quote the value that does not fit its type.
                told = None if isinstance(crash, GraphQLError) else crash
                logger.error("GraphQL field %s: %s.", place, type(crash or error).__name__, exc_info=told)


@strawberry.type
class Query(HealthKitQuery):
    pass


@strawberry.type
class Mutation(HealthKitMutation):
    pass


schema = GuardedSchema(query=Query, mutation=Mutation)
