from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings

from django_healthkit_ingest import queues

# It has a tox environment of its own, and what it needs is in no other.
collect_ignore = [] if find_spec("schemathesis") is not None else ["schemathesis"]

# How long an example takes says something about the machine and nothing about the code.
hypothesis_settings.register_profile("suite", deadline=None)
hypothesis_settings.load_profile("suite")


@pytest.fixture
def messages() -> Iterator[Any]:
    """What would have gone to the broker."""
    with queues.captured() as captured:
        yield captured


@pytest.fixture
def user_factory() -> Callable[[], Any]:
    from django_healthkit_ingest.testing.factories import UserFactory  # without Django (-p no:django) there is none

    return UserFactory


@pytest.fixture
def user(user_factory: Callable[[], Any]) -> Any:
    return user_factory()


@pytest.fixture
def other_user(user_factory: Callable[[], Any]) -> Any:
    return user_factory()
