"""Which of two statistics stays, whatever the order; on every engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_healthkit_ingest.core import samples
from django_healthkit_ingest.core.identity import rank
from django_healthkit_ingest.core.samples import ZoneBasis
from django_healthkit_ingest.models import ImportBatch, Statistic, database
from django_healthkit_ingest.pipeline.store.locks import Scope, lock_user
from django_healthkit_ingest.pipeline.store.references import type_ids
from django_healthkit_ingest.pipeline.store.statistics import ROWS_AT_ONCE, store_statistics
from django_healthkit_ingest.testing.factories import ImportBatchFactory, SourceFactory

pytestmark = pytest.mark.django_db(databases="__all__")

STEPS = "HKQuantityTypeIdentifierStepCount"
START = datetime(2026, 1, 5, tzinfo=UTC)
WATCH = samples.Source(name="Test Watch", bundle_id="com.apple.health.0A1B2C3D")


def ranked(*, fidelity: int = 60, version: int = 5, digest: int = 0) -> int:
    return rank(fidelity=fidelity, normaliser_version=version, content_digest=digest.to_bytes(6))


def statistic(*, key: int | UUID = 1, value: float | None = 8421.0, **fields: Any) -> samples.Statistic:
    given: dict[str, Any] = {
        "identifier": STEPS,
        "known": True,
        "aggregation": "sum",
        "bucket": "",
        "start": START,
        "end": START + timedelta(days=1),
        "time_zone": "Europe/Berlin",
        "zone_basis": ZoneBasis.DECLARED,
        "value": value,
        "unit": "",
        "source": None,
        "key": key if isinstance(key, UUID) else UUID(int=key),
        "preference": value or 0.0,
        "rank": ranked(),
        "details": None,
    }
    return samples.Statistic(**given | fields)


def store(
    *values: samples.Statistic,
    batch: ImportBatch,
    sequence: int = 0,
    source_ids: dict[samples.Source, int] | None = None,
) -> int:
    using = database()
    with transaction.atomic(using=using):
        lock_user(batch.user_id, scope=Scope.SAMPLES, using=using)
        return store_statistics(
            values,
            user_id=batch.user_id,
            batch_id=batch.pk,
            sequence=sequence,
            type_ids=type_ids({value.identifier for value in values}, using=using),
            source_ids=source_ids or {},
            using=using,
        )


@pytest.fixture
def batch(user: Any) -> ImportBatch:
    return ImportBatchFactory.create(user=user)


def rows(user: Any) -> Any:
    return Statistic.objects.using(database()).for_user(user)


def test_all_that_is_known_is_stored(user: Any, batch: ImportBatch) -> None:
    source = SourceFactory.create(user=user)
    value = statistic(value=7.5, unit="kcal", source=WATCH, details='{"a":1}', rank=ranked(digest=2**47))

    changed = store(value, batch=batch, sequence=2**60, source_ids={WATCH: source.pk})

    row = rows(user).get()
    assert changed == 1
    assert (row.batch_id, row.sequence, row.source, row.key) == (batch.pk, 2**60, source, value.key)
    assert (row.identifier, row.aggregation, row.start, row.end) == (STEPS, "sum", value.start, value.end)
    assert (row.value, row.unit, row.preference, row.rank) == (7.5, "kcal", 7.5, value.rank)
    assert (row.time_zone, row.zone_basis, row.details) == ("Europe/Berlin", "D", {"a": 1})


def test_what_is_not_known_stays_empty(user: Any, batch: ImportBatch) -> None:
    store(statistic(value=None, end=None), batch=batch)

    row = rows(user).get()
    assert (row.value, row.end, row.source_id, row.details, row.raw_unit) == (None, None, None, None, "")
    assert row.unit == "count"


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        ((5, {"value": 900.0, "rank": ranked(fidelity=63)}), (6, {"value": 1.0, "rank": ranked(fidelity=1)})),
        ((0, {"value": 900.0, "rank": ranked(fidelity=30)}), (0, {"value": 1.0, "rank": ranked(fidelity=60)})),
        ((0, {"value": 900.0, "rank": ranked(version=4)}), (0, {"value": 1.0, "rank": ranked(version=5)})),
        ((0, {"value": 1.0, "rank": ranked(digest=9)}), (0, {"value": 900.0, "rank": ranked(digest=3)})),
        ((0, {"value": 5.0, "rank": ranked(digest=3)}), (0, {"value": 5.0, "rank": ranked(digest=9)})),
        ((0, {"value": 5.0, "preference": -5.0}), (0, {"value": 4.0, "preference": -4.0})),
    ],
    ids=["sequence", "fidelity", "version", "preference", "digest", "minimum"],
)
@pytest.mark.parametrize("turned", [False, True])
def test_the_better_one_stays(user: Any, batch: ImportBatch, worse: Any, better: Any, turned: bool) -> None:
    for sequence, fields in (better, worse) if turned else (worse, better):
        store(statistic(**fields), batch=batch, sequence=sequence)

    row = rows(user).get()
    assert (row.sequence, row.value, row.rank) == (better[0], better[1]["value"], better[1].get("rank", ranked()))


@pytest.mark.parametrize("turned", [False, True])
def test_the_better_one_of_one_call_stays(user: Any, batch: ImportBatch, turned: bool) -> None:
    worse, better = statistic(value=1.0, rank=ranked(digest=9)), statistic(value=2.0, rank=ranked(digest=3))

    store(*((better, worse) if turned else (worse, better)), batch=batch)

    assert rows(user).get().value == 2.0


def test_what_changes_nothing_counts_as_nothing(user: Any, batch: ImportBatch) -> None:
    one, other = statistic(key=1), statistic(key=2)

    assert store(one, other, batch=batch) == 2
    assert store(one, other, batch=batch) == 0
    assert store(one, statistic(key=2, value=9000.0), statistic(key=3), batch=batch) == 2
    assert store(batch=batch) == 0


def test_many_rows_go_in_several_statements(user: Any, batch: ImportBatch) -> None:
    values = [statistic(key=number) for number in range(2 * ROWS_AT_ONCE + 1)]

    assert store(*values, *values, batch=batch) == 2 * ROWS_AT_ONCE + 1
    assert rows(user).count() == 2 * ROWS_AT_ONCE + 1


def test_users_do_not_share_statistics(user: Any, other_user: Any, batch: ImportBatch) -> None:
    store(statistic(), batch=batch)
    store(statistic(value=1.0), batch=ImportBatchFactory.create(user=other_user))

    assert [rows(each).get().value for each in (user, other_user)] == [8421.0, 1.0]


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_it_insists_on_the_callers_transaction(user: Any, batch: ImportBatch) -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        store_statistics(
            [statistic()],
            user_id=user.pk,
            batch_id=batch.pk,
            sequence=0,
            type_ids={STEPS: 1},
            source_ids={},
            using=database(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One reading as one request brought it."""

    sequence: int
    value: samples.Statistic


def oracle(sent: Iterable[Sent]) -> set[tuple[Any, ...]]:
    """The law, as a function of what was sent: of each key the greatest."""
    by_key: dict[UUID, list[tuple[Any, ...]]] = {}
    for each in sent:
        value = each.value
        order = (each.sequence, value.rank >> 48, value.preference, value.rank)
        by_key.setdefault(value.key, []).append((order, value.value))
    return {(key, max(readings)[1], *max(readings)[0]) for key, readings in by_key.items()}


def table(user: Any) -> set[tuple[Any, ...]]:
    stored = rows(user).values_list("key", "value", "sequence", "rank", "preference")
    return {(key, value, sequence, rank >> 48, preference, rank) for key, value, sequence, rank, preference in stored}


@st.composite
def readings(draw: st.DrawFn) -> Sent:
    value = draw(st.sampled_from([0.0, 1.0, 2.0, 1e9]))
    content = ranked(
        fidelity=draw(st.sampled_from([30, 60])),
        version=draw(st.sampled_from([4, 5])),
        digest=draw(st.integers(0, 3)) << 3 | int(value) % 7,  # one digest, one content
    )
    preference = draw(st.sampled_from([value, -value + 0.0]))
    return Sent(
        sequence=draw(st.sampled_from([0, 1, 2**62])),
        value=statistic(key=draw(st.integers(1, 3)), value=value, preference=preference, rank=content),
    )


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), sent=st.lists(readings(), min_size=1, max_size=12))
def test_the_table_is_a_function_of_what_was_sent(user: Any, data: st.DataObject, sent: Sequence[Sent]) -> None:
    """Permuted, repeated, cut into other chunks: the same rows."""
    batch = ImportBatchFactory.create(user=user)
    tables = []
    for _ in range(2):
        order = data.draw(st.permutations([*sent, *data.draw(st.lists(st.sampled_from(sent), max_size=4))]))
        size = data.draw(st.integers(1, len(order)))
        for sequence in data.draw(st.permutations(sorted({each.sequence for each in sent}))):
            values = [each.value for each in order if each.sequence == sequence]
            for first in range(0, len(values), size):
                store(*values[first : first + size], batch=batch, sequence=sequence)
        tables.append(table(user))
        rows(user).delete()

    assert tables == [oracle(sent)] * 2


def test_statistics_are_read_as_samples_are(user: Any, other_user: Any, batch: ImportBatch) -> None:
    night = "HKCategoryTypeIdentifierSleepAnalysis"
    store(
        statistic(key=1),
        statistic(key=2, aggregation="average", start=START + timedelta(days=1)),
        statistic(key=3, identifier=night, aggregation="duration", unit="s", value=25_200.0),
        batch=batch,
    )
    store(statistic(key=4), batch=ImportBatchFactory.create(user=other_user))

    mine = rows(user)
    assert mine.count() == 3
    assert [row.key.int for row in mine.of_type(STEPS).order_by("key")] == [1, 2]
    assert [row.key.int for row in mine.between(START, START + timedelta(days=1)).order_by("key")] == [1, 3]
    assert [row.key.int for row in mine.aggregation("average")] == [2]
    assert {(row.identifier, row.aggregation, row.unit) for row in mine.aggregation("sum", "duration")} == {
        (STEPS, "sum", "count"),
        (night, "duration", "s"),
    }


def test_a_list_of_statistics_is_one_query(user: Any, batch: ImportBatch, django_assert_num_queries: Any) -> None:
    source = SourceFactory.create(user=user)
    store(statistic(source=WATCH), statistic(key=uuid4()), batch=batch, source_ids={WATCH: source.pk})

    with django_assert_num_queries(1, using=database()):
        shown = [(row.identifier, row.unit, row.source) for row in rows(user)]

    assert len(shown) == 2
