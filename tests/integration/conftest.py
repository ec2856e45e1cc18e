from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from django_healthkit_ingest.models import ImportBatch, ImportChunk, database
from django_healthkit_ingest.pipeline.accept import accept


@pytest.fixture
def accepted(user: Any, messages: Any) -> Callable[..., ImportBatch]:
    """Accept a body and stop there: the batch is committed, nothing is processed."""

    def accept_only(body: bytes, **options: Any) -> ImportBatch:
        return accept(body, user=options.pop("user", user), **options)

    return accept_only


@pytest.fixture
def chunks() -> Any:
    return ImportChunk.objects.using(database())
