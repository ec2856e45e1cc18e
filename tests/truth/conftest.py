from __future__ import annotations

from collections.abc import Iterator

import pytest

from django_healthkit_ingest.pipeline.store import postgresql


@pytest.fixture(scope="module", autouse=True)
def few_are_three() -> Iterator[None]:
    """Histories are short; so some of their records are compared with the rows around them, and others asked for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgresql, "FEW", 3)
        yield
