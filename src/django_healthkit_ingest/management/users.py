"""Whom a command's ``--user`` means."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError


def find_user(name: str) -> Any:
    """By primary key or by USERNAME_FIELD. Raises CommandError unless it is exactly one."""
    found = _find(name)
    if len(found) != 1:
        raise CommandError("Two users fit: one by key, one by name." if found else "There is no such user.")
    return found[0]


def find_user_id(name: str) -> Any:
    """The primary key; where nobody fits, what may have been the key of a user who is deleted. Raises CommandError."""
    if _find(name):
        return find_user(name).pk
    try:
        return get_user_model()._meta.pk.to_python(name)
    except ValidationError:
        raise CommandError("There is no such user.") from None


def _find(name: str) -> list[Any]:
    users = get_user_model()
    found: list[Any] = []
    for field in ("pk", users.USERNAME_FIELD):
        try:
            found += users._default_manager.filter(**{field: name}).exclude(pk__in=[each.pk for each in found])
        except (ValueError, ValidationError):  # not a key of this user model
            continue
    return found
