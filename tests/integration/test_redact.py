"""A stored chunk loses its records of a type, whatever state it is in, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from django_healthkit_ingest.core.encodings import compress
from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import ImportBatch, RejectedSample, database
from django_healthkit_ingest.pipeline.complete import complete
from django_healthkit_ingest.pipeline.failures import LostClaim
from django_healthkit_ingest.pipeline.process import process
from django_healthkit_ingest.pipeline.replay import replay
from django_healthkit_ingest.pipeline.withhold import redact
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import category, correlation, quantity
from tests.integration.test_windows import count
from tests.integration.test_withhold import FLOW, MARK, MARKED, RATE, is_balanced, payload, payloads, work
from tests.poison import RAISES

pytestmark = pytest.mark.django_db(databases="__all__")

RECORDS = (quantity(), category(**MARKED), quantity(unit="kg"), category() | {"category": MARK}, category(**MARKED))
FLOWS = frozenset({FLOW})


@pytest.fixture
def batch(accepted: Callable[..., ImportBatch]) -> ImportBatch:
    return accepted(healthkit_body(*RECORDS))


def test_a_chunk_that_waits(user: Any, batch: ImportBatch) -> None:
    chunk = batch.chunks.get()

    assert redact(chunk_id=chunk.pk, identifiers=FLOWS) == 3

    assert MARK.encode() not in payloads(batch)
    work(batch)
    assert (batch.status, batch.inserted, batch.rejected, batch.withheld) == (Status.COMPLETED, 1, 1, 3)
    assert RejectedSample.objects.using(database()).get(chunk=chunk).index == 2
    assert count(user) == 1


def test_a_chunk_that_has_ended(user: Any, batch: ImportBatch) -> None:
    work(batch)
    chunk = batch.chunks.get()

    assert redact(chunk_id=chunk.pk, identifiers=frozenset({"MENSTRUATION_FLOW"})) == 3
    assert redact(chunk_id=chunk.pk, identifiers=FLOWS) == 0

    assert MARK.encode() not in payloads(batch)
    chunk.refresh_from_db()
    assert (chunk.status, chunk.inserted, chunk.rejected, chunk.withheld) == (Status.COMPLETED, 3, 2, 0)
    replay(batch=batch)
    work(batch)
    assert (batch.duplicate, batch.rejected, batch.withheld) == (1, 1, 3)
    assert is_balanced(batch)


def test_a_chunk_that_killed_its_workers_is_not_read(batch: ImportBatch, settings: Any) -> None:
    """It would kill this one, too: what its records are is told by their texts."""
    settings.HEALTHKIT_INGEST = {"FORMATS": ["tests.poison.PoisonousFormat"]}
    chunk = batch.chunks.get()
    poisoned = payload(chunk).replace(b'"value":61', b'"value":%d' % RAISES)
    batch.chunks.update(payload=compress(poisoned), status=Status.FAILED, error_code="attempts_exhausted")

    assert redact(chunk_id=chunk.pk, identifiers=FLOWS) == 3
    assert redact(chunk_id=chunk.pk, identifiers=FLOWS) == 0

    assert MARK.encode() not in payloads(batch)
    assert payloads(batch).count(b'"value":%d' % RAISES) == 2


def test_a_blank_is_told_by_no_text_of_its_own(batch: ImportBatch) -> None:
    batch.chunks.update(status=Status.FAILED, error_code="attempts_exhausted")
    chunk = batch.chunks.get()
    redact(chunk_id=chunk.pk, identifiers=FLOWS)

    assert redact(chunk_id=chunk.pk, identifiers=frozenset({"withheld", "mixed"})) == 0


def test_a_chunk_of_a_format_that_is_gone(batch: ImportBatch, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"FORMATS": ["django_healthkit_ingest.core.formats.flutter.FlutterFormat"]}

    assert redact(chunk_id=batch.chunks.get().pk, identifiers=FLOWS) == 3

    assert MARK.encode() not in payloads(batch)


@pytest.mark.parametrize("damaged", [b"damaged", compress(b'{"no": "array"}')])
def test_a_payload_that_is_damaged_goes_as_a_whole(batch: ImportBatch, damaged: bytes) -> None:
    batch.chunks.update(payload=damaged)

    assert redact(chunk_id=batch.chunks.get().pk, identifiers=FLOWS) == len(RECORDS)

    assert batch.chunks.get().payload is None


def test_what_is_not_there(batch: ImportBatch) -> None:
    chunk = batch.chunks.get()
    batch.chunks.update(payload=None)

    assert redact(chunk_id=chunk.pk, identifiers=FLOWS) == 0
    assert redact(chunk_id=chunk.pk + 1000, identifiers=FLOWS) == 0


def test_other_types_are_not_touched(batch: ImportBatch) -> None:
    before = payloads(batch)

    assert redact(chunk_id=batch.chunks.get().pk, identifiers=frozenset({"HKQuantityTypeIdentifierBodyMass"})) == 0

    assert payloads(batch) == before


def test_a_correlation_goes_with_its_member(user: Any) -> None:
    batch = ingest(healthkit_body(correlation(quantity(), **MARKED), quantity(RATE, value=62)), user=user)

    assert redact(chunk_id=batch.chunks.get().pk, identifiers=frozenset({RATE})) == 2

    assert MARK.encode() not in payloads(batch)


def test_types_nobody_knows_are_forgotten_by_the_books(user: Any) -> None:
    batch = ingest(healthkit_body(quantity("com.acme.mood"), quantity("com.acme.pain")), user=user)
    assert batch.unknown_types == {"com.acme.mood": 1, "com.acme.pain": 1}

    assert redact(chunk_id=batch.chunks.get().pk, identifiers=frozenset({"com.acme.mood"})) == 1

    batch.refresh_from_db()
    assert batch.unknown_types == batch.chunks.get().unknown_types == {"com.acme.pain": 1}


def test_records_that_were_set_aside_keep_their_places(user: Any, batch: ImportBatch) -> None:
    batch.chunks.update(set_aside=[1, 2])

    assert redact(chunk_id=batch.chunks.get().pk, identifiers=FLOWS) == 3

    work(batch)
    assert (batch.inserted, batch.rejected, batch.withheld) == (1, 1, 3)
    rejected = RejectedSample.objects.using(database()).get(chunk__batch=batch)
    assert (rejected.index, rejected.code) == (2, "poison")


def test_places_count_through_the_whole_request(user: Any, settings: Any, accepted: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 2}
    batch = accepted(healthkit_body(*RECORDS))

    gone = [redact(chunk_id=chunk.pk, identifiers=FLOWS) for chunk in batch.chunks.order_by("index")]

    assert gone == [1, 1, 1]
    work(batch)
    assert (batch.inserted, batch.rejected, batch.withheld) == (1, 1, 3)
    assert RejectedSample.objects.using(database()).get(chunk__batch=batch).index == 2


def test_a_worker_that_is_at_it_keeps_nothing(user: Any, batch: ImportBatch) -> None:
    """It has read everything before; consent says nothing, for only an erasure was ordered."""
    claimed = batch.chunks.select_related("batch").get()
    batch.chunks.update(status=Status.PROCESSING, claim_no=1, attempts=1, claimed_by="a")
    claimed.refresh_from_db()

    assert redact(chunk_id=claimed.pk, identifiers=FLOWS) == 3

    with pytest.raises(LostClaim):
        complete(claimed)
    assert count(user) == 0
    chunk = batch.chunks.get()
    assert (chunk.status, chunk.attempts, chunk.sent_at, chunk.claim_no) == (Status.PENDING, 0, None, 2)
    process(chunk_id=chunk.pk, task_id=str(uuid4()))
    batch.refresh_from_db()
    assert (batch.status, batch.inserted, batch.withheld) == (Status.COMPLETED, 1, 3)
    assert MARK.encode() not in payloads(batch)


def test_a_worker_whose_chunk_holds_nothing_of_the_kind_is_left_alone(user: Any, batch: ImportBatch) -> None:
    claimed = batch.chunks.select_related("batch").get()
    batch.chunks.update(status=Status.PROCESSING, claim_no=1, attempts=1, claimed_by="a")
    claimed.refresh_from_db()

    assert redact(chunk_id=claimed.pk, identifiers=frozenset({"com.acme.mood"})) == 0

    complete(claimed)
    assert count(user) == 3
