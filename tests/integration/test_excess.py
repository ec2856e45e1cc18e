from __future__ import annotations

from typing import Any

import pytest

from django_healthkit_ingest.models import ImportChunk, RejectedSample, TypeIdentifier, database
from django_healthkit_ingest.pipeline import excess
from django_healthkit_ingest.pipeline.read import read
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import quantity

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excess, "MOST", 3)


def refused() -> list[int]:
    rows = RejectedSample.objects.using(database()).filter(code="too_many_types", field="type")
    return sorted(rows.values_list("index", flat=True))


def test_one_user_cannot_fill_the_table_of_names(user: Any) -> None:
    batch = ingest(healthkit_body(*(quantity(f"HKInvented{number}") for number in range(9))), user=user)

    assert (batch.received, batch.inserted, batch.rejected) == (9, 3, 6)
    assert refused() == [3, 4, 5, 6, 7, 8]
    assert TypeIdentifier.objects.using(database()).filter(identifier__startswith="HKInvented").count() == 3


def test_what_a_user_had_before_counts(user: Any, other_user: Any) -> None:
    ingest(healthkit_body(quantity(), quantity("HKOne"), quantity("HKTwo")), user=user)

    ingest(healthkit_body(quantity("HKThree"), quantity("HKTwo")), user=user)
    others = ingest(healthkit_body(quantity("HKThree")), user=other_user)

    assert refused() == [0]
    assert others.inserted == 1


def test_a_name_that_is_there_already_is_never_refused(user: Any, other_user: Any) -> None:
    ingest(healthkit_body(*(quantity(f"HKInvented{number}") for number in range(3))), user=other_user)
    ingest(healthkit_body(quantity("HKOne"), quantity("HKTwo"), quantity("HKThree")), user=user)

    batch = ingest(healthkit_body(*(quantity(f"HKInvented{number}") for number in range(3)), quantity()), user=user)

    assert batch.inserted == 4


def test_known_types_cost_no_query(user: Any, django_assert_num_queries: Any) -> None:
    ingest(healthkit_body(quantity()), user=user)
    chunk = ImportChunk.objects.using(database()).select_related("batch").get()

    with django_assert_num_queries(0, using=database()):
        assert len(excess.without_excess(read(chunk), chunk=chunk)) == 1
