"""Each format's example, from the bytes of the request to rows."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import HealthSample, RejectedSample, database
from django_healthkit_ingest.testing import ingest
from tests.unit.formats.examples import DIALECTS, HISTORY

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.mark.parametrize("named", [True, False], ids=["named", "recognised"])
@pytest.mark.parametrize("name", DIALECTS)
def test_a_history_becomes_rows(user: Any, name: str, named: bool) -> None:
    dialect = DIALECTS[name]
    body = dialect.body()

    batch = ingest(body, user=user, format=dialect.format if named else None, time_zone=dialect.time_zone)

    deletions = body.count(b"DEAD")
    assert (batch.status, batch.format) == (Status.COMPLETED, dialect.format)
    assert (batch.received, batch.rejected) == (len(HISTORY) + deletions, 0)
    assert batch.inserted == len(HISTORY)
    rows = HealthSample.objects.using(database()).for_user(user)
    assert {(row.identifier, row.start, row.category) for row in rows} == {
        (moment.identifier, moment.start, moment.category) for moment in HISTORY
    }


PAIRS = [
    (first, second) for first, second in permutations(DIALECTS, 2) if {"healthkit", "flutter_4_0"} & {first, second}
]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_the_same_history_from_two_clients_is_one_history(user: Any, first: str, second: str) -> None:
    batches = [
        ingest(dialect.body(), user=user, time_zone=dialect.time_zone)
        for dialect in (DIALECTS[first], DIALECTS[second])
    ]

    assert [(batch.status, batch.inserted) for batch in batches] == [
        (Status.COMPLETED, len(HISTORY)),
        (Status.COMPLETED, 0),
    ]
    assert HealthSample.objects.using(database()).for_user(user).count() == len(HISTORY)


def test_a_rejection_counts_through_the_arrays_of_open_wearables(user: Any, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 2}
    body = DIALECTS["open_wearables"].body().replace(b'"deep"', b'"dreaming"')

    batch = ingest(body, user=user)

    (rejection,) = RejectedSample.objects.using(database()).filter(chunk__batch=batch)
    assert (batch.status, batch.inserted, batch.rejected) == (Status.COMPLETED, len(HISTORY) - 1, 1)
    assert (rejection.index, rejection.field, rejection.code) == (5, "stage", "value_unknown")
    assert batch.client == {"name": "open-wearables", "version": "0.4.0"}
