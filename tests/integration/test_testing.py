"""What hosts get for their own tests."""

from __future__ import annotations

import json
from typing import Any

import pytest

from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import HealthSample, ImportBatch, database
from django_healthkit_ingest.pipeline.process import process
from django_healthkit_ingest.testing import factories, flutter_body, healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import category, flutter_point, quantity

pytestmark = pytest.mark.django_db(databases="__all__")

FACTORIES = [
    factory
    for factory in vars(factories).values()
    if isinstance(factory, type) and factory.__module__ == factories.__name__
]


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda factory: factory.__name__)
def test_a_factory_makes_rows_side_by_side(factory: Any) -> None:
    rows = factory.create_batch(2)

    again = [type(row)._base_manager.get(pk=row.pk) for row in rows]

    assert again == rows
    assert len({row.pk for row in rows}) == (1 if factory is factories.TypeIdentifierFactory else 2)


def test_a_made_chunk_can_be_processed(messages: Any) -> None:
    chunk = factories.ImportChunkFactory.create()

    process(chunk_id=chunk.pk, task_id="a")

    chunk.refresh_from_db()
    assert chunk.status == Status.COMPLETED


def test_builders_make_what_the_formats_read(user: Any) -> None:
    batches = [
        ingest(healthkit_body(quantity(), category()), user=user),
        ingest(flutter_body(flutter_point()), user=user),
    ]

    assert [(batch.format, batch.inserted) for batch in batches] == [("healthkit", 2), ("flutter", 1)]


def test_a_field_can_be_dropped_or_added() -> None:
    record = quantity(uuid=None, unit=None, note="x")

    assert {"uuid", "unit"}.isdisjoint(record)
    assert record["note"] == "x"
    assert json.loads(healthkit_body(deletions=["a"]))["deletions"] == [{"uuid": "a"}]


def test_ingest_raises_what_accept_raises_and_leaves_nothing(user: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        ingest(b"{", user=user)

    assert not ImportBatch.objects.using(database()).exists()
    assert not HealthSample.objects.using(database()).exists()
