from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from rest_framework.authtoken.models import Token


@pytest.fixture(autouse=True)
def empty_buckets() -> None:
    """SQLite gives the next test's user the same key, and with it the last one's rate limits."""
    cache.clear()


@pytest.fixture
def sign_in() -> Any:
    """A client that carries a user's token, as a phone does; no cookies, no CSRF."""

    def signed_in(user: Any) -> Client:
        token, _ = Token.objects.get_or_create(user=user)
        return Client(headers={"Authorization": f"Token {token.key}"})

    return signed_in


@pytest.fixture
def phone(sign_in: Any, user: Any) -> Any:
    return sign_in(user)
