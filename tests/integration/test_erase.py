from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from django_healthkit_ingest.core import samples
from django_healthkit_ingest.models import (
    HealthSample,
    ImportBatch,
    ImportChunk,
    RejectedSample,
    Source,
    Tombstone,
    database,
)
from django_healthkit_ingest.pipeline.erase import erase_user
from django_healthkit_ingest.pipeline.failures import LostClaim
from django_healthkit_ingest.pipeline.store.references import source_ids
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import quantity

pytestmark = pytest.mark.django_db(databases="__all__")

MODELS = (HealthSample, ImportBatch, ImportChunk, RejectedSample, Source, Tombstone)


def counts() -> list[int]:
    return [model._default_manager.using(database()).count() for model in MODELS]


def body() -> bytes:
    return healthkit_body(quantity(), quantity(unit="kg"), deletions=[quantity()["uuid"]])


def test_deleting_a_user_erases_theirs_and_nobody_elses(
    user: Any, other_user: Any, django_capture_on_commit_callbacks: Any
) -> None:
    ingest(body(), user=other_user)
    before = counts()
    ingest(body(), user=user)
    assert all(now > then for now, then in zip(counts(), before, strict=True))

    with django_capture_on_commit_callbacks(execute=True):
        user.delete()

    assert counts() == before
    assert set(HealthSample.objects.using(database()).values_list("user_id", flat=True)) == {other_user.pk}


def test_no_source_is_written_for_a_chunk_that_was_erased(
    user: Any, accepted: Callable[..., ImportBatch], chunks: Any
) -> None:
    """The worker has read its chunk; the erasure commits; then the worker writes the names of the user's devices."""
    accepted(healthkit_body(quantity()))
    chunk = chunks.get()
    erase_user(user_id=user.pk)

    with pytest.raises(LostClaim):
        source_ids([samples.Source(name="Ada's Watch")], chunk=chunk, using=database())

    assert not Source.objects.using(database()).exists()


def test_erasing_costs_a_fixed_number_of_statements(user_factory: Any, django_assert_num_queries: Any) -> None:
    for size in (1, 50):
        someone = user_factory()
        ingest(healthkit_body(*(quantity() for _ in range(size))), user=someone)

        with django_assert_num_queries(17, using=database()):  # savepoint, lock, files, thirteen tables, release
            erase_user(user_id=someone.pk)
