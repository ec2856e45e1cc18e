"""Anchors: released when everything before them is in the tables, and not a moment earlier."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.exceptions import InvalidEnvelope
from django_healthkit_ingest.models import ImportBatch, ImportChunk, SyncState, database
from django_healthkit_ingest.pipeline.accept import accept
from django_healthkit_ingest.pipeline.anchors import accept_failure
from django_healthkit_ingest.pipeline.erase import erase_user
from django_healthkit_ingest.pipeline.finish import finish
from django_healthkit_ingest.pipeline.process import process
from django_healthkit_ingest.pipeline.status import describe
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import quantity
from tests.integration.test_concurrency import TIMES, run_chunk, together

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

HEART_RATE = "HKQuantityTypeIdentifierHeartRate"
STEPS = "HKQuantityTypeIdentifierStepCount"
ALIASED, ALIAS = "HKDataTypeIdentifierAudiogram", "HKAudiogramSampleType"
DEVICE = "6F0C"


@pytest.fixture
def sent(user: Any, messages: Any) -> Callable[..., ImportBatch]:
    """A body of one sample, accepted and not processed."""

    def send(*, device: str | None = DEVICE, **anchors: str) -> ImportBatch:
        names = {"rate": HEART_RATE, "steps": STEPS}
        body = healthkit_body(quantity(), anchors={names[name]: anchor for name, anchor in anchors.items()})
        return accept(body, user=user, device=device)

    return send


def done(batch: ImportBatch) -> ImportBatch:
    for chunk in batch.chunks.all():
        process(chunk_id=chunk.pk, task_id=str(uuid4()))
    batch.refresh_from_db()
    return batch


def failed(batch: ImportBatch) -> ImportBatch:
    """Its chunk's payload is gone, so it cannot end well; the real road to FAILED."""
    batch.chunks.update(payload=None)
    return done(batch)


def retried(batch: ImportBatch, payload: Any) -> ImportBatch:
    """As an operator's retry leaves it."""
    batch.chunks.update(status=Status.PENDING, attempts=0, payload=payload, finished_at=None, error_code="")
    ImportBatch.objects.using(database()).filter(pk=batch.pk).update(
        status=Status.PROCESSING, finished_at=None, announced_at=None
    )
    return done(batch)


def safe(user: Any, device: str = DEVICE) -> dict[str, str]:
    states = SyncState.objects.using(database()).for_user(user).of_device(device)
    return {state.type.identifier: state.anchor for state in states}


def is_released(batch: ImportBatch) -> bool:
    batch.refresh_from_db()
    return describe(batch).anchors_released


def test_a_completed_batch_releases_its_anchors(user: Any, sent: Callable[..., ImportBatch]) -> None:
    batch = sent(rate="a1", steps="b1")
    before = safe(user), is_released(batch)

    done(batch)

    assert before == ({}, False)
    assert safe(user) == {HEART_RATE: "a1", STEPS: "b1"}
    assert is_released(batch)
    assert batch.warnings == []


def test_the_newer_anchor_replaces_the_older(user: Any, sent: Callable[..., ImportBatch]) -> None:
    for number in range(3):
        done(sent(rate=f"a{number}"))

    assert safe(user) == {HEART_RATE: "a2"}
    assert SyncState.objects.using(database()).count() == 1


def test_a_later_batch_waits_for_an_earlier_one(user: Any, sent: Callable[..., ImportBatch]) -> None:
    first, second = sent(rate="a1"), sent(rate="a2")

    done(second)

    assert (safe(user), is_released(second)) == ({}, False)

    done(first)

    assert safe(user) == {HEART_RATE: "a2"}
    assert is_released(first)
    assert is_released(second)


def test_a_failed_batch_holds_what_follows(user: Any, sent: Callable[..., ImportBatch]) -> None:
    done(sent(rate="a1"))
    broken = failed(sent(rate="a2"))
    later = done(sent(rate="a3"))

    assert broken.status == Status.FAILED
    assert safe(user) == {HEART_RATE: "a1"}
    assert not is_released(later)


def test_a_retry_releases_what_waited(user: Any, sent: Callable[..., ImportBatch]) -> None:
    batch = sent(rate="a1")
    payload = batch.chunks.get().payload
    failed(batch)
    done(sent(rate="a2"))

    retried(batch, payload)

    assert batch.status == Status.COMPLETED
    assert safe(user) == {HEART_RATE: "a2"}


def test_an_accepted_failure_releases_what_waited(user: Any, sent: Callable[..., ImportBatch]) -> None:
    broken = failed(sent(rate="a1"))
    later = done(sent(rate="a2"))

    assert accept_failure(batch=broken)
    assert not accept_failure(batch=broken)

    assert safe(user) == {HEART_RATE: "a2"}
    assert is_released(broken)
    assert is_released(later)


def test_only_a_failure_can_be_accepted(user: Any, sent: Callable[..., ImportBatch]) -> None:
    batch = sent(rate="a1")

    assert not accept_failure(batch=batch)

    assert safe(user) == {}


def test_types_wait_apart(user: Any, sent: Callable[..., ImportBatch]) -> None:
    rate = sent(rate="a1")
    both = done(sent(rate="a2", steps="b2"))

    assert safe(user) == {STEPS: "b2"}
    assert not is_released(both)

    done(rate)

    assert safe(user) == {HEART_RATE: "a2", STEPS: "b2"}
    assert is_released(both)


def test_a_batch_without_anchors_may_hold_any_type(user: Any, sent: Callable[..., ImportBatch]) -> None:
    """One query's result in two bodies: the anchor is in the last one."""
    first_part = sent()
    done(sent(rate="a1"))
    assert safe(user) == {}

    done(first_part)

    assert safe(user) == {HEART_RATE: "a1"}


def test_installations_and_users_do_not_wait_for_each_other(
    user: Any, other_user: Any, sent: Callable[..., ImportBatch]
) -> None:
    failed(sent(rate="a1"))
    done(sent(rate="x", device="tablet"))
    ingest(healthkit_body(quantity(), anchors={HEART_RATE: "y"}), user=other_user, device=DEVICE)

    assert (safe(user), safe(user, "tablet"), safe(other_user)) == ({}, {HEART_RATE: "x"}, {HEART_RATE: "y"})


def test_an_older_batch_never_takes_a_type_back(user: Any, sent: Callable[..., ImportBatch]) -> None:
    """Two requests at once: the one with the lower id was committed last."""
    older, newer = sent(rate="a1"), sent(rate="a2")
    ImportBatch.objects.using(database()).filter(pk=older.pk).update(device_id="elsewhere")
    done(newer)
    ImportBatch.objects.using(database()).filter(pk=older.pk).update(device_id=DEVICE)

    done(older)

    assert safe(user) == {HEART_RATE: "a2"}
    assert is_released(older)


def test_running_a_released_batch_again_changes_nothing(user: Any, sent: Callable[..., ImportBatch]) -> None:
    batch = sent(rate="a1")
    payload = batch.chunks.get().payload
    done(batch)
    done(sent(rate="a2"))

    retried(batch, payload)

    assert safe(user) == {HEART_RATE: "a2"}
    assert is_released(batch)


def test_a_released_batch_that_runs_again_holds_nobody(user: Any, sent: Callable[..., ImportBatch]) -> None:
    batch = sent(rate="a1")
    done(batch)
    ImportBatch.objects.using(database()).filter(pk=batch.pk).update(status=Status.PROCESSING, finished_at=None)

    done(sent(rate="a2"))

    assert safe(user) == {HEART_RATE: "a2"}


def test_without_an_installation_anchors_are_never_released(user: Any, sent: Callable[..., ImportBatch]) -> None:
    batch = done(sent(rate="a1", device=None))

    assert batch.status == Status.COMPLETED
    assert batch.warnings == ["anchors_without_device"]
    assert not is_released(batch)
    assert not SyncState.objects.using(database()).exists()


def test_an_empty_body_may_move_an_anchor(user: Any) -> None:
    batch = ingest(healthkit_body(anchors={HEART_RATE: "a1"}), user=user, device=DEVICE)

    assert (batch.status, batch.received) == (Status.COMPLETED, 0)
    assert safe(user) == {HEART_RATE: "a1"}


def test_names_of_a_type_are_one_type(user: Any) -> None:
    ingest(healthkit_body(anchors={ALIAS: "f1", STEPS: "b1", "HKFuture": "c1"}), user=user, device=DEVICE)

    assert safe(user) == {ALIASED: "f1", STEPS: "b1", "HKFuture": "c1"}


def test_two_anchors_for_one_type_are_refused(user: Any) -> None:
    with pytest.raises(InvalidEnvelope) as caught:
        accept(healthkit_body(anchors={ALIAS: "b1", ALIASED: "b2"}), user=user, device=DEVICE)

    assert [(fault.pointer, fault.code) for fault in caught.value.errors] == [("/anchors", "ambiguous_anchor")]
    assert not ImportBatch.objects.using(database()).exists()


def test_released_anchors_are_kept_once(user: Any, sent: Callable[..., ImportBatch]) -> None:
    batch = done(sent(rate="a1"))

    assert batch.anchors == {}


def test_the_sequence_is_kept(user: Any) -> None:
    assert ingest(healthkit_body(sequence=42), user=user).sequence == 42


def test_many_waiting_batches_cost_a_bounded_number_of_statements(
    user: Any, sent: Callable[..., ImportBatch], django_assert_max_num_queries: Any
) -> None:
    first = sent(rate="a0")
    for number in range(1, 30):
        done(sent(rate=f"a{number}", steps=f"b{number}"))
    ImportChunk.objects.using(database()).filter(batch=first).update(status=Status.FAILED)
    ImportBatch.objects.using(database()).filter(pk=first.pk).update(chunk_count=1)
    finish(batch_id=first.pk)
    first.refresh_from_db()

    with django_assert_max_num_queries(16, using=database()):
        accept_failure(batch=first)

    assert safe(user) == {HEART_RATE: "a29", STEPS: "b29"}
    waiting = ImportBatch.objects.using(database()).filter(anchors_released_at__isnull=True)
    assert not waiting.exists()


def test_batches_that_end_together_release_the_last_anchor(user: Any, sent: Callable[..., ImportBatch]) -> None:
    for number in range(TIMES):
        batches = [sent(rate=f"{number}.{place}") for place in range(4)]

        together(*(run_chunk(batch.chunks.get()) for batch in batches))

        assert safe(user) == {HEART_RATE: f"{number}.3"}
        assert all(is_released(batch) for batch in batches)


def test_erasing_beside_a_release_leaves_no_anchor(user: Any, sent: Callable[..., ImportBatch]) -> None:
    for _ in range(TIMES):
        batch = sent(rate="a1")

        together(run_chunk(batch.chunks.get()), lambda: erase_user(user_id=user.pk))

        assert not SyncState.objects.using(database()).exists()


def test_the_command_accepts_a_failure(user: Any, sent: Callable[..., ImportBatch]) -> None:
    broken = failed(sent(rate="a1"))
    done(sent(rate="a2"))
    told = StringIO()

    call_command("healthkit_ingest_accept_failure", str(broken.uuid), "--json", stdout=told)

    answer = json.loads(told.getvalue())
    assert (answer["id"], answer["accepted"]) == (str(broken.uuid), True)
    assert safe(user) == {HEART_RATE: "a2"}

    told = StringIO()
    call_command("healthkit_ingest_accept_failure", str(broken.uuid), stdout=told)
    assert told.getvalue() == "The failure had been accepted before.\n"


def test_the_command_accepts_nothing_else(user: Any, sent: Callable[..., ImportBatch]) -> None:
    batch = done(sent(rate="a1"))

    with pytest.raises(CommandError, match="COMPLETED"):
        call_command("healthkit_ingest_accept_failure", str(batch.uuid))
    with pytest.raises(CommandError, match="no such import"):
        call_command("healthkit_ingest_accept_failure", str(uuid4()))
