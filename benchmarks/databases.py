"""Several databases behind Django's one alias, each on a connection that stays open while another has the turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper


def copy_of_database(name: str) -> BaseDatabaseWrapper:
    """A new database with the tables, and so far the rows, of the one that has the turn."""
    original = connections[DEFAULT_DB_ALIAS]
    template = original.settings_dict["NAME"]
    original.close()  # a template must have nobody on it
    outside = another(original, {"NAME": "template1"})
    with outside.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {outside.ops.quote_name(name)} TEMPLATE {outside.ops.quote_name(template)}")
    outside.close()
    return another(original, {"NAME": name})


def another(connection: BaseDatabaseWrapper, settings: Mapping[str, Any]) -> BaseDatabaseWrapper:
    """A connection of its own, with these settings."""
    copy: BaseDatabaseWrapper = connection.copy()
    copy.settings_dict.update(settings)
    return copy


def turn_to(connection: BaseDatabaseWrapper) -> None:
    """From here on ``default`` is this database."""
    connections[DEFAULT_DB_ALIAS] = connection
