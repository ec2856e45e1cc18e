from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from django_healthkit_ingest import queues
from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import ImportBatch
from django_healthkit_ingest.pipeline import dispatch as module
from django_healthkit_ingest.pipeline.dispatch import dispatch
from django_healthkit_ingest.pipeline.process import process
from django_healthkit_ingest.testing import healthkit_body
from django_healthkit_ingest.testing.payloads import quantity

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture(autouse=True)
def one_record_per_chunk(settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 1, "DISPATCH_WINDOW": 2}


def body(records: int) -> bytes:
    return healthkit_body(*(quantity() for _ in range(records)))


def sent(messages: Any) -> list[int]:
    return [message.ids["chunk_id"] for message in messages if message.name == queues.PROCESS_CHUNK]


def test_the_window_is_per_user_and_lane_not_per_batch(
    accepted: Callable[..., ImportBatch], other_user: Any, messages: Any
) -> None:
    first, second = accepted(body(3)), accepted(body(3))
    backfill = accepted(body(3), lane="BACKFILL")
    theirs = accepted(body(3), user=other_user)

    numbers = [dispatch(user_id=batch.user_id, lane=batch.lane) for batch in (first, second, backfill, theirs, first)]

    assert numbers == [2, 0, 2, 2, 0]
    assert sent(messages)[:2] == list(first.chunks.order_by("index").values_list("pk", flat=True)[:2])


def test_a_finished_chunk_sends_the_next_in_order(accepted: Callable[..., ImportBatch], messages: Any) -> None:
    batches = [accepted(body(2)), accepted(body(2))]
    order = [pk for batch in batches for pk in batch.chunks.order_by("index").values_list("pk", flat=True)]
    dispatch(user_id=batches[0].user_id, lane="LIVE")

    for position in range(4):
        assert sent(messages) == order[: position + 2]
        process(chunk_id=order[position], task_id=str(position))

    assert sent(messages) == order


def test_a_failed_chunk_counts_as_finished_for_the_chain(
    accepted: Callable[..., ImportBatch], chunks: Any, messages: Any
) -> None:
    batch = accepted(body(3))
    dispatch(user_id=batch.user_id, lane="LIVE")
    chunks.filter(pk=sent(messages)[0]).update(payload=None)

    process(chunk_id=sent(messages)[0], task_id="a")

    assert chunks.get(pk=sent(messages)[0]).status == Status.FAILED
    assert len(sent(messages)) == 3


def test_a_claim_that_is_lost_still_advances_the_chain(
    accepted: Callable[..., ImportBatch], chunks: Any, messages: Any
) -> None:
    """A worker died between completing its chunk and sending the next: the redelivered message must go on."""
    batch = accepted(body(3))
    dispatch(user_id=batch.user_id, lane="LIVE")
    done = sent(messages)[0]
    chunks.filter(pk=done).update(status=Status.COMPLETED, inserted=1)

    process(chunk_id=done, task_id="redelivered")

    assert len(sent(messages)) == 3


def test_a_broker_that_refuses_leaves_the_chunk_unsent(
    accepted: Callable[..., ImportBatch], chunks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = accepted(body(3))
    monkeypatch.setattr(module, "enqueue", lambda *args, **kwargs: False)

    number = dispatch(user_id=batch.user_id, lane="LIVE")

    assert number == 0
    assert not chunks.filter(sent_at__isnull=False).exists()
