"""Our errors as GraphQL errors: the problem that the other door answers stands under ``extensions``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import Http404
from graphql import GraphQLError

from django_healthkit_ingest.exceptions import InvalidQuery
from django_healthkit_ingest.pipeline.problems import FORBIDDEN, NOT_FOUND, Problem, find_problem


class FieldCrashed(Exception):
    """An error nobody foresaw, by its type alone: a schema shows and logs an error's text, and the original may quote
    what was sent."""


def describe(told: Problem) -> dict[str, Any]:
    shape = {
        "type": told.type,
        "code": told.code,
        "title": told.title,
        "status": told.status,
        "detail": told.detail,
        "errors": msgspec.to_builtins(told.errors),
        "retry": told.retry,
    }
    return shape if told.retry_after is None else {**shape, "retryAfter": told.retry_after}


def to_error(told: Problem) -> GraphQLError:
    return GraphQLError(told.detail, extensions=describe(told))


def refusal(detail: str) -> GraphQLError:
    """Of a question that cannot be answered as it is put."""
    told = find_problem(InvalidQuery(detail))
    assert told is not None
    return to_error(told)


def is_problem(error: GraphQLError) -> bool:
    return str((error.extensions or {}).get("type", "")).startswith("urn:healthkit-ingest:problem:")


def find(error: Exception) -> Problem | None:
    """What Django raises for a host's own hooks is understood, too."""
    if isinstance(error, PermissionDenied):
        return FORBIDDEN
    return NOT_FOUND if isinstance(error, Http404) else find_problem(error)


@contextmanager
def translated(field: str) -> Iterator[None]:
    """What leaves the block is a GraphQL error, the host's own mistake in its settings, or FieldCrashed."""
    try:
        yield
    except (GraphQLError, ImproperlyConfigured):
        raise
    except Exception as error:  # noqa: BLE001 - raised again, without its text
        told = find(error)
        if told is None:
            raise FieldCrashed(f"{field}: {type(error).__name__}").with_traceback(error.__traceback__) from None
        raise to_error(told) from None
