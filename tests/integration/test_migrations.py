"""Rows that an older release left are still right after migrating."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from django_healthkit_ingest.core.identity import twin_key
from django_healthkit_ingest.core.registry import shipped_registry
from django_healthkit_ingest.core.timestamps import microseconds
from django_healthkit_ingest.models import HealthSample, Tally, database
from django_healthkit_ingest.pipeline.store.place import Place
from django_healthkit_ingest.pipeline.store.tallies import Outline, Shared, find_shared, short_key

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

APP = "healthkit_ingest"
START = datetime(2026, 1, 5, 8, 0, 0, 250_000, tzinfo=UTC)


def migrate(name: str | None) -> Any:
    executor = MigrationExecutor(connections[database()])
    targets = [(APP, name)] if name else [key for key in executor.loader.graph.leaf_nodes() if key[0] == APP]
    executor.migrate(targets)
    return executor.loader.project_state(targets).apps


@pytest.fixture
def first_release() -> Iterator[Any]:
    yield migrate("0001_initial")
    migrate(None)


CONTENTS: dict[str, dict[str, Any]] = {
    "HKQuantityTypeIdentifierHeartRate": {"value": 1.2},
    "HKCategoryTypeIdentifierMenstrualFlow": {"category": 3},
    "HKWorkoutTypeIdentifier": {"category": 37, "details": {"duration": 60}},
    "HKDataTypeIdentifierElectrocardiogram": {"details": {"classification": 1}},
    "HKCategoryTypeIdentifierOfTheFuture": {"category": 2, "details": {"category": 2}},
}


def test_rows_without_uuid_get_the_class_that_new_records_have(user: Any, first_release: Any) -> None:
    types = first_release.get_model(APP, "TypeIdentifier").objects.using(database())
    rows = first_release.get_model(APP, "HealthSample").objects.using(database())
    end = START + timedelta(seconds=90)
    common = {"user_id": user.pk, "batch_id": 1, "start": START, "end": end, "rank": 1, "zone_basis": "N"}
    for identifier, content in CONTENTS.items():
        type_id = types.create(identifier=identifier).pk
        rows.create(**common, **content, type_id=type_id, fingerprint=uuid4())
        rows.create(**common, **content, type_id=type_id, fingerprint=uuid4(), uuid=uuid4())

    migrate(None)

    stored = HealthSample.objects.using(database()).filter(user_id=user.pk).select_related("type")
    assert len(stored) == 2 * len(CONTENTS)
    times = {"start": microseconds(START), "end": microseconds(end)}
    for row in stored:
        known = shipped_registry().get(row.identifier)
        kind = known.kind if known else None
        key = twin_key(identifier=row.identifier, kind=kind, category=row.category, **times)
        assert row.twin == (key if row.uuid is None else None)


@pytest.fixture
def release_before_tallies_of_types() -> Iterator[Any]:
    yield migrate("0006_front_doors")
    migrate(None)


def test_what_a_half_imported_batch_has_counted_is_still_known(user: Any, release_before_tallies_of_types: Any) -> None:
    types, rows, tallies = (
        release_before_tallies_of_types.get_model(APP, name).objects.using(database())
        for name in ("TypeIdentifier", "HealthSample", "Tally")
    )
    type_ids = [types.create(identifier=identifier).pk for identifier in CONTENTS][:2]
    twins = [uuid4() for _ in range(4)]
    common = {"user_id": user.pk, "batch_id": 7, "rank": 1, "zone_basis": "N"}
    for number, twin in enumerate(twins):
        start = START + timedelta(hours=number)
        rows.create(**common, type_id=type_ids[number % 2], twin=twin, start=start, end=start, fingerprint=uuid4())
    for chunk_id, several in ((1, (*twins, uuid4())), (2, twins[:1])):
        for twin in several:
            tallies.create(user_id=user.pk, batch_id=7, chunk_id=chunk_id, twin=twin)

    migrate(None)

    def shared(number: int, *, at: datetime) -> Shared:
        place = Place(user_id=user.pk, batch_id=7, chunk_id=3, only_chunk=False, using=database())
        keys = {short_key(twins[number]), short_key(uuid4())}
        return find_shared({type_ids[number % 2]: Outline(keys=keys, earliest=at, latest=at)}, place=place)

    at = START.replace(microsecond=0)
    assert Tally.objects.using(database()).count() == 3
    assert shared(0, at=at) == Shared(keys={short_key(twins[0])}, chunk_ids=(1, 2))
    assert shared(3, at=at + timedelta(hours=3)) == Shared(keys={short_key(twins[3])}, chunk_ids=(1,))
    assert shared(3, at=at + timedelta(hours=4)) == Shared()
