"""Rows that belong to a user, and the one way the doors reach them."""

from __future__ import annotations

from typing import Any, Self, TypeVar

from django.db import models

_Row = TypeVar("_Row", bound=models.Model)


class OwnedQuerySet(models.QuerySet[_Row]):
    """Of a model with a user. What answers a request goes through ``for_user``; ``pipeline.owned`` sees to it."""

    def for_user(self, user: Any) -> Self:
        return self.filter(user_id=user.pk)
