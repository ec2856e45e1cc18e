"""Everything of a user goes, in bounded steps, whatever breaks off; and nothing of anybody else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.base import ContentFile
from django.db import IntegrityError, OperationalError, connections, transaction
from django.utils import timezone

from django_healthkit_ingest import queues
from django_healthkit_ingest.core import samples
from django_healthkit_ingest.core.states import Pausable, Status
from django_healthkit_ingest.exceptions import InvalidQuery, NotFound, Unavailable
from django_healthkit_ingest.models import (
    DeviceToken,
    Erasure,
    HealthSample,
    ImportBatch,
    ImportUpload,
    Source,
    database,
)
from django_healthkit_ingest.pipeline import erase as erase_module
from django_healthkit_ingest.pipeline import erase_all
from django_healthkit_ingest.pipeline.accept import accept
from django_healthkit_ingest.pipeline.belongings import SAMPLES
from django_healthkit_ingest.pipeline.erase import erase, erase_user, get_erasure, order_erasure
from django_healthkit_ingest.pipeline.failures import LostClaim
from django_healthkit_ingest.pipeline.files import file_storage
from django_healthkit_ingest.pipeline.process import process
from django_healthkit_ingest.pipeline.revive import Revival, revive_chunk, revive_erasure
from django_healthkit_ingest.pipeline.store.references import source_ids
from django_healthkit_ingest.pipeline.sweep import sweep
from django_healthkit_ingest.pipeline.switches import pause, resume
from django_healthkit_ingest.pipeline.upload import accept_upload
from django_healthkit_ingest.signals import samples_changed
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.factories import HealthSampleFactory, ImportBatchFactory, ImportChunkFactory
from django_healthkit_ingest.testing.payloads import quantity
from tests.integration.everything import (
    KEPT,
    give_everything,
    left_of,
    names_of_files,
    stored_files,
    tables,
    work_off,
)

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture(autouse=True)
def host(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = str(tmp_path)


@pytest.fixture
def ordered(user: Any, messages: Any, django_capture_on_commit_callbacks: Any) -> Callable[..., Any]:
    def order(**options: Any) -> Any:
        with django_capture_on_commit_callbacks(execute=True, using=database()):
            return order_erasure(user_id=user.pk, **options)

    return order


def orders() -> Any:
    return Erasure.objects.using(database())


def step_by_step(user_id: Any, monkeypatch: pytest.MonkeyPatch, *, rows: int) -> None:
    """One step a message, of so many rows."""
    monkeypatch.setattr(erase_module, "ROWS_AT_ONCE", rows)
    monkeypatch.setattr(erase_module, "SHARE_OF_LEASE", 0.0)


@pytest.mark.django_db(databases="__all__", transaction=True)
@pytest.mark.parametrize("rows", [1, 7, 5_000])
def test_nothing_is_left_and_nothing_of_others_goes(
    user: Any, other_user: Any, messages: Any, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """The walk covers every table there is: whoever adds one has to say how it is erased."""
    step_by_step(user.pk, monkeypatch, rows=rows)
    for each in (other_user, user):
        give_everything(each)
    theirs, their_files = left_of(other_user.pk), names_of_files(other_user.pk)
    had = left_of(user.pk)
    assert set(had) == {model.__name__ for model, _ in tables()}, "the test gives the user something in every table"
    messages.clear()

    receipt = order_erasure(user_id=user.pk)
    work_off(messages)

    left = left_of(user.pk)
    assert left == {name: had[name] + (name == "Erasure") for name in KEPT}
    assert (left_of(other_user.pk), names_of_files(other_user.pk)) == (theirs, their_files)
    assert stored_files() == their_files
    done = get_erasure(user=user, erasure_id=receipt.id)
    assert (done.status, done.error_code, done.finished_at is not None) == (Status.COMPLETED, None, True)
    assert done.counts == {
        "samples": had["HealthSample"],
        "series": had["SampleSeries"],
        "statistics": had["Statistic"],
        "imports": had["ImportBatch"],
        "uploads": had["ImportUpload"],
        "chunks": had["ImportChunk"],
        "rejections": had["RejectedSample"],
        "tallies": had["Tally"],
        "tombstones": had["Tombstone"],
        "traces": had["Trace"],
        "memberships": had["Membership"],
        "sync_states": had["SyncState"],
        "sources": had["Source"],
        "exports": had["Export"],
    }


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_no_transaction_deletes_more_rows_than_it_may(
    user: Any, messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    step_by_step(user.pk, monkeypatch, rows=10)
    ingest(healthkit_body(*(quantity() for _ in range(45))), user=user)
    order = order_erasure(user_id=user.pk)
    before, taken = 0, []

    while messages:
        work_off_one(messages)
        now = sum(orders().get(uuid=order.id).counts.values())
        taken.append(now - before)
        before = now

    assert max(taken) == 10
    assert orders().get(uuid=order.id).counts["samples"] == 45


def work_off_one(messages: Any) -> None:
    erase(erasure_id=messages.popleft().ids["erasure_id"])


def test_erasing_costs_a_fixed_number_of_statements(user_factory: Any, django_assert_num_queries: Any) -> None:
    for size in (1, 50):
        someone = user_factory()
        ingest(healthkit_body(*(quantity() for _ in range(size))), user=someone)

        # Is there a user; the order; its files; imports once more than there are hundreds of them, and then everything
        # until there is nothing; the receipt.
        with django_assert_num_queries(60 if database() == "default" else 59, using=database()):
            erase_user(user_id=someone.pk)


class Blow(Exception):
    """What kill -9 looks like from inside: nothing handles it."""


class Breaker:
    """Lets so many statements through and then breaks, as a worker that dies or a database that goes away."""

    def __init__(self, statements: int, error: BaseException) -> None:
        self.left, self.error = statements, error

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise self.error
        return execute(sql, params, many, context)


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_a_worker_may_die_between_any_two_statements(user: Any, messages: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run gets one statement further than the last, and dies; the counts are as if nobody had."""
    step_by_step(user.pk, monkeypatch, rows=3)
    give_everything(user)
    had = left_of(user.pk)
    order_erasure(user_id=user.pk)
    order = orders().get(status=Status.PENDING)

    statements = 0
    while orders().get(pk=order.pk).status != Status.COMPLETED:
        statements += 1
        try:
            with connections[database()].execute_wrapper(Breaker(statements, Blow())):
                erase(erasure_id=order.pk)
        except Blow:
            connections[database()].close_if_unusable_or_obsolete()

    assert statements > 20
    assert set(left_of(user.pk)) == KEPT
    counts = orders().get(pk=order.pk).counts
    assert (counts["samples"], counts["chunks"]) == (had["HealthSample"], had["ImportChunk"])
    assert sum(counts.values()) == sum(number for name, number in had.items() if name not in KEPT)
    assert stored_files() == []


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_a_database_that_is_away_puts_the_order_back(user: Any, messages: Any) -> None:
    ingest(healthkit_body(quantity()), user=user)
    order_erasure(user_id=user.pk)
    message = messages.popleft()

    class Once:
        """Fails the transaction of the step, and only that."""

        broken = False

        def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
            if "DELETE" in sql and not self.broken:
                self.broken = True
                raise OperationalError("gone")
            return execute(sql, params, many, context)

    with connections[database()].execute_wrapper(Once()):
        erase(erasure_id=message.ids["erasure_id"])

    (again,) = messages
    assert (again.name, again.ids, again.lane) == (queues.ERASE, message.ids, "BACKFILL")
    assert again.delay is not None
    assert again.user_id == user.pk
    assert orders().get().status == Status.PENDING

    work_off(messages)
    assert orders().get().status == Status.COMPLETED


def test_an_import_that_came_between_two_looks_goes_too(
    user: Any, ordered: Callable[..., Any], messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accepted a moment before the order, committed a moment after it, when imports had been looked for already."""
    ordered()
    erase_one = erase_all._erase
    late: list[ImportBatch] = []

    def overtaken(belonging: Any, **options: Any) -> int:
        if belonging is SAMPLES and not late:
            late.append(ImportChunkFactory.create(batch=ImportBatchFactory.create(user=user)).batch)
        return erase_one(belonging, **options)

    monkeypatch.setattr(erase_all, "_erase", overtaken)
    work_off(messages)

    assert late
    assert set(left_of(user.pk)) == {"Erasure"}
    assert orders().get().counts == {"imports": 1, "chunks": 1}


def test_a_row_that_came_behind_the_search_goes_too(
    user: Any, ordered: Callable[..., Any], messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step goes on where the last one was; a merge that was on its way has stored an older sample meanwhile."""
    step_by_step(user.pk, monkeypatch, rows=3)
    ingest(healthkit_body(*(quantity(start=f"2026-01-05T08:00:{second:02}Z") for second in range(9))), user=user)
    ordered()
    rows = HealthSample.objects.using(database()).for_user(user)
    while rows.count() > 2:
        work_off_one(messages)
    (type_id,) = set(rows.values_list("type_id", flat=True))
    early = datetime(2020, 1, 1, tzinfo=UTC)
    HealthSampleFactory.create(user=user, type_id=type_id, source=None, start=early, batch_id=0)

    work_off(messages)

    assert not rows.exists()
    assert orders().get().counts["samples"] == 10


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_a_chunk_that_got_its_rejections_meanwhile_is_looked_at_again(
    user: Any, messages: Any, chunks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunk of rejections alone is completed without the user's lock, between the two looks of a step."""
    accept(healthkit_body(quantity(unit="kg")), user=user)
    chunk = chunks.get()
    erase_rows = erase_all.erase_rows
    looks = []

    def overtaken(**options: Any) -> Any:
        answer = erase_rows(**options)
        looks.append(answer)
        if len(looks) == 1:
            raise IntegrityError("a rejection is still there")
        return answer

    monkeypatch.setattr(erase_module, "erase_rows", overtaken)
    erase_user(user_id=user.pk)

    assert len(looks) == 2
    assert set(left_of(user.pk)) == {"Erasure"}
    assert orders().get().counts["chunks"] == 1
    assert revive_chunk(chunk_id=chunk.pk) is Revival.GONE


def test_a_file_that_cannot_be_deleted_keeps_its_row(
    user: Any, messages: Any, ordered: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with queues.captured():
        accept_upload(ContentFile(b"x"), user=user, format="apple_export")
    (name,) = ImportUpload.objects.using(database()).values_list("name", flat=True)

    def broken(names: Any) -> None:
        raise OSError

    with monkeypatch.context() as patch:
        patch.setattr(erase_all, "delete_files", broken)
        patch.setattr(transaction, "on_commit", lambda hook, **options: hook())
        ordered()
        erase(erasure_id=orders().get().pk)

    assert file_storage().exists(name)
    assert ImportUpload.objects.using(database()).get().name == name
    assert orders().get().status == Status.PENDING


def test_the_same_order_is_answered_again_until_it_is_done(
    user: Any, ordered: Callable[..., Any], messages: Any
) -> None:
    first, second = ordered(), ordered()
    of_types = ordered(identifiers=["HEART_RATE"])
    same_types = ordered(identifiers=["HKQuantityTypeIdentifierHeartRate"])

    assert first.id == second.id
    assert first.id != of_types.id == same_types.id
    assert [message.name for message in messages] == [queues.ERASE] * 2
    work_off(messages)
    assert ordered().id != first.id


@pytest.mark.parametrize("identifiers", [[], "HKQuantityTypeIdentifierHeartRate", [1], [""], ["x" * 200], ["a\0b"]])
def test_what_cannot_be_types_is_refused(user: Any, identifiers: Any) -> None:
    with pytest.raises(InvalidQuery, match="identifiers"):
        order_erasure(user_id=user.pk, identifiers=identifiers)

    assert not orders().exists()


def test_a_receipt_is_its_users(user: Any, other_user: Any, ordered: Callable[..., Any]) -> None:
    receipt = ordered()

    assert get_erasure(user=user, erasure_id=receipt.id) == receipt
    for whose, erasure_id in ((other_user, receipt.id), (user, uuid4())):
        with pytest.raises(NotFound):
            get_erasure(user=whose, erasure_id=erasure_id)


def test_nothing_is_taken_while_everything_is_being_erased(
    user: Any, other_user: Any, ordered: Callable[..., Any], messages: Any
) -> None:
    body = healthkit_body(quantity())
    known = accept(body, user=user, idempotency_key="k")
    ordered()

    assert accept(body, user=user, idempotency_key="k").pk == known.pk, "a repeat is answered"
    with pytest.raises(Unavailable) as told:
        accept(body, user=user)
    with pytest.raises(Unavailable):
        accept_upload(ContentFile(b"x"), user=user, format="apple_export")
    assert told.value.retry_after > 0
    assert accept(body, user=other_user).pk

    work_off(messages)
    assert stored_files() == []
    assert not accept(body, user=user, idempotency_key="k").replayed


def test_erasing_types_lets_the_phone_go_on(user: Any, ordered: Callable[..., Any]) -> None:
    ordered(identifiers=["HKQuantityTypeIdentifierHeartRate"])

    assert accept(healthkit_body(quantity()), user=user).pk


def test_what_is_sent_again_afterwards_is_stored_anew(user: Any, ordered: Callable[..., Any], messages: Any) -> None:
    """An erasure is no withdrawal of consent; also a uuid that was deleted before is not remembered any more."""
    record, deleted = quantity(), quantity()
    ingest(healthkit_body(record, deletions=[deleted["uuid"]]), user=user)
    ordered()
    work_off(messages)

    batch = ingest(healthkit_body(record, deleted), user=user)

    assert (batch.status, batch.inserted) == (Status.COMPLETED, 2)


def test_a_chunk_in_flight_brings_nothing_back(
    user: Any, messages: Any, ordered: Callable[..., Any], chunks: Any
) -> None:
    """Its message comes, and its dead letter is looked at, when it is gone."""
    accept(healthkit_body(quantity()), user=user)
    chunk = chunks.get()
    ordered()
    work_off(messages)

    process(chunk_id=chunk.pk, task_id="late")

    assert set(left_of(user.pk)) == {"Erasure"}
    assert revive_chunk(chunk_id=chunk.pk) is Revival.GONE


def test_a_half_erased_import_is_neither_finished_nor_announced(
    user: Any, settings: Any, ordered: Callable[..., Any], messages: Any, chunks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its workers died before they could close it, some of its chunks are gone, and sweep comes by."""
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 1}
    step_by_step(user.pk, monkeypatch, rows=1)
    batch = accept(healthkit_body(*(quantity() for _ in range(3))), user=user)
    chunks.update(status=Status.COMPLETED, inserted=1)
    ordered()

    erase(erasure_id=orders().get().pk)
    swept = sweep()

    assert batch.chunks.count() == 2
    assert (swept.batches_finished, swept.batches_announced) == (0, 0)


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


def test_an_erasure_announces_once_what_is_gone(
    user: Any, messages: Any, django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    step_by_step(user.pk, monkeypatch, rows=2)
    ingest(healthkit_body(*(quantity() for _ in range(5))), user=user)
    heard: list[dict[str, Any]] = []

    def hear(**told: Any) -> None:
        heard.append({name: value for name, value in told.items() if name not in ("signal", "sender")})

    samples_changed.connect(hear)
    try:
        with django_capture_on_commit_callbacks(execute=True, using=database()):
            erase_user(user_id=user.pk)
            erase_user(user_id=user.pk)
    finally:
        samples_changed.disconnect(hear)

    assert heard == [
        {
            "user_id": user.pk,
            "batch_id": None,
            "cause": "erasure",
            "identifiers": frozenset(),
            "start": None,
            "end": None,
            "inserted": 0,
            "updated": 0,
            "removed": 5,
        }
    ]


# Messages


def test_sweep_sends_what_no_message_is_on_its_way_of(user: Any, messages: Any) -> None:
    """Inside a test's transaction no hook runs: as if the process had died right after its commit."""
    order_erasure(user_id=user.pk)
    first, second = sweep(), sweep()
    orders().update(sent_at=timezone.now() - timedelta(minutes=31))
    late = sweep()

    assert [each.erasures_sent for each in (first, second, late)] == [1, 0, 1]
    work_off(messages)
    assert sweep().erasures_sent == 0
    assert orders().get().status == Status.COMPLETED


def test_two_chains_of_messages_become_one(
    user: Any, ordered: Callable[..., Any], messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that was thought lost comes after all, while the next one is on its way."""
    step_by_step(user.pk, monkeypatch, rows=1)
    ingest(healthkit_body(*(quantity() for _ in range(9))), user=user)
    ordered()
    stale = orders().get()
    erase(erasure_id=stale.pk)
    assert len(messages) == 2

    sent = erase_module.send_erasure(stale)

    assert (sent, len(messages)) == (False, 2)


def test_a_broker_that_is_away_leaves_it_to_sweep(
    user: Any, ordered: Callable[..., Any], messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erase_module, "enqueue", lambda *args, **options: False)
    ordered()

    assert orders().get().sent_at is None


def test_no_step_is_taken_while_processing_is_paused(user: Any, ordered: Callable[..., Any], messages: Any) -> None:
    ingest(healthkit_body(quantity()), user=user)
    ordered()
    pause(Pausable.PROCESSING)
    work_off(messages)
    during = (sweep().erasures_sent, HealthSample.objects.using(database()).count())

    resume(Pausable.PROCESSING)
    after = sweep().erasures_sent
    work_off(messages)

    assert (during, after) == ((0, 1), 1)
    assert not HealthSample.objects.using(database()).exists()


def test_a_dead_letter_of_an_erasure_goes_on_where_it_was(
    user: Any, ordered: Callable[..., Any], messages: Any
) -> None:
    ordered()
    order = orders().get()
    messages.clear()

    outcomes = [revive_erasure(erasure_id=order.pk)]
    work_off(messages)
    outcomes += [revive_erasure(erasure_id=order.pk), revive_erasure(erasure_id=10**9)]

    assert outcomes == [Revival.REPLAYED, Revival.DONE, Revival.GONE]


# A user who is deleted


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_deleting_a_user_erases_theirs_and_nobody_elses(user: Any, other_user: Any, messages: Any) -> None:
    for each in (other_user, user):
        give_everything(each)
    theirs = left_of(other_user.pk)
    user_id = user.pk
    messages.clear()

    user.delete()
    work_off(messages)

    assert set(left_of(user_id)) == {"Erasure"}
    assert left_of(other_user.pk) == theirs
    assert stored_files() == names_of_files(other_user.pk)


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_deleting_a_user_deletes_no_row_of_theirs_in_the_request(user: Any, messages: Any) -> None:
    give_everything(user)
    user_id, had = user.pk, left_of(user.pk)
    messages.clear()

    user.delete()

    assert left_of(user_id) == had | {"Erasure": had["Erasure"] + 1}
    assert not DeviceToken.objects.using(database()).filter(user_id=user_id, revoked_at=None).exists()
    assert [message.name for message in messages] == [queues.ERASE]


def test_a_user_who_is_deleted_in_a_transaction_is_found_by_sweep(
    user: Any, messages: Any, django_capture_on_commit_callbacks: Any
) -> None:
    """Wherever the users live; the hooks of the health data's own transaction never run here."""
    ingest(healthkit_body(quantity()), user=user)
    user_id = user.pk

    with django_capture_on_commit_callbacks(execute=database() != "default"):
        user.delete()
    sweep()
    work_off(messages)

    assert set(left_of(user_id)) == {"Erasure"}


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_a_deletion_that_is_rolled_back_erases_nothing(user: Any, messages: Any) -> None:
    give_everything(user)
    had = left_of(user.pk)
    messages.clear()

    with transaction.atomic(using=type(user)._base_manager.db):
        type(user)._base_manager.get(pk=user.pk).delete()
        transaction.set_rollback(True, using=type(user)._base_manager.db)

    assert (left_of(user.pk), list(messages)) == (had, [])


def test_a_user_who_is_deleted_while_being_erased_leaves_no_consent(
    user: Any, ordered: Callable[..., Any], messages: Any, django_capture_on_commit_callbacks: Any
) -> None:
    """The first order keeps what a living user keeps; the deletion's does not."""
    give_everything(user)
    ordered()
    user_id = user.pk

    with django_capture_on_commit_callbacks(execute=database() != "default"):
        user.delete()
    sweep()
    work_off(messages)

    assert set(left_of(user_id)) == {"Erasure"}
    assert {order.status for order in orders().filter(user_id=user_id)} == {Status.COMPLETED}


def test_a_chunk_of_a_user_deleted_by_raw_sql_erases_what_is_there(user: Any, messages: Any, chunks: Any) -> None:
    give_everything(user)
    accept(healthkit_body(quantity()), user=user)
    waiting = chunks.filter(user_id=user.pk).unfinished().get()
    user_id = user.pk
    type(user)._base_manager.filter(pk=user_id)._raw_delete(type(user)._base_manager.db)

    process(chunk_id=waiting.pk, task_id="a")

    assert set(left_of(user_id)) == {"Erasure"}
