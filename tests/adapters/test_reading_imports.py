"""Lists, receipts, waiting, taking back and trying again."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import HealthSample, ImportBatch, ImportChunk, database
from django_healthkit_ingest.pipeline import imports
from django_healthkit_ingest.pipeline.accept import accept
from django_healthkit_ingest.pipeline.dispatch import dispatch
from django_healthkit_ingest.pipeline.imports import get_import
from django_healthkit_ingest.pipeline.intake import take_body
from django_healthkit_ingest.pipeline.process import process
from django_healthkit_ingest.pipeline.store.merge import merge
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.factories import ImportBatchFactory, ImportChunkFactory
from django_healthkit_ingest.testing.payloads import quantity

pytestmark = pytest.mark.django_db(databases="__all__")

URL = "/health/imports/"
JSON = "application/json"


@pytest.fixture(autouse=True)
def no_broker(messages: Any) -> Any:
    return messages


def test_the_list_has_the_latest_first_and_each_as_it_is_alone(phone: Client, user: Any, other_user: Any) -> None:
    batches = [ingest(healthkit_body(quantity(), quantity(unit="kg")), user=user) for _ in range(3)]
    ingest(healthkit_body(quantity()), user=other_user)

    first = phone.get(URL, {"page_size": 2}).json()
    second = phone.get(first["next"]).json()

    shown = [*first["results"], *second["results"]]
    assert [each["id"] for each in shown] == [str(batch.uuid) for batch in reversed(batches)]
    assert shown[0] == phone.get(shown[0]["url"]).json()
    assert (second["next"], phone.get(second["previous"]).json()["results"]) == (None, first["results"])


def test_a_list_costs_as_many_queries_as_one(phone: Client, user: Any, django_assert_max_num_queries: Any) -> None:
    for number in range(6):
        batch = ImportBatchFactory.create(user=user, status=[*Status][number % 4])
        ImportChunkFactory.create(batch=batch, status=[*Status][number % 4], error_code="x" * (number % 2))
    ingest(healthkit_body(quantity("HKNew")), user=user)

    for size in (1, 7):
        with django_assert_max_num_queries(10, using=database()):  # two may be the token's
            assert len(phone.get(URL, {"page_size": size}).json()["results"]) == size


@pytest.mark.parametrize("chosen", ["PENDING", "COMPLETED"])
def test_the_list_of_one_status(phone: Client, user: Any, chosen: str) -> None:
    ingest(healthkit_body(quantity()), user=user)
    accept(healthkit_body(quantity()), user=user)

    assert [each["status"] for each in phone.get(URL, {"status": chosen}).json()["results"]] == [chosen]


def test_a_receipt_by_key_or_by_digest(phone: Client, user: Any, other_user: Any) -> None:
    body = healthkit_body(quantity())
    batch = ingest(body, user=user, idempotency_key="morning")
    ingest(healthkit_body(quantity()), user=user, idempotency_key="noon")
    ingest(body, user=other_user, idempotency_key="morning")
    digest = hashlib.sha256(body).hexdigest()

    for query in ({"idempotency_key": "morning"}, {"body_sha256": digest}, {"body_sha256": digest.upper()}):
        assert [each["id"] for each in phone.get(URL, query).json()["results"]] == [str(batch.uuid)]
    assert phone.get(URL, {"idempotency_key": "evening"}).json()["results"] == []


@pytest.mark.parametrize(
    "query",
    [
        {"status": "DONE"},
        {"page_size": "0"},
        {"page_size": "many"},
        {"page_size": "99999999999"},
        {"cursor": "1"},
        {"idempotency_key": "\0"},
        {"body_sha256": "\0"},
    ],
)
def test_a_question_that_cannot_be_answered_names_the_parameter(phone: Client, query: dict[str, str]) -> None:
    answer = phone.get(URL, query)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_query")
    assert next(iter(query)).removeprefix("page_") in answer.json()["detail"] or "page" in answer.json()["detail"]


def test_waiting_ends_when_the_import_does(phone: Client, user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = accept(healthkit_body(quantity()), user=user)
    looks: list[float] = []

    def work(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            ImportBatch.objects.using(database()).filter(pk=batch.pk).update(
                status=Status.COMPLETED, finished_at=timezone.now(), received=0
            )

    monkeypatch.setattr("django_healthkit_ingest.pipeline.imports.time.sleep", work)

    answer = phone.get(f"{URL}{batch.uuid}/", {"wait": 20})

    assert answer.json()["status"] == "COMPLETED"
    assert len(looks) == 3


def test_waiting_ends_with_the_time(phone: Client, user: Any, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"LONG_POLL": timedelta(milliseconds=20)}
    batch = accept(healthkit_body(quantity()), user=user)

    answer = phone.get(f"{URL}{batch.uuid}/", {"wait": 999999})

    assert (answer.status_code, answer.json()["status"], answer.headers["Retry-After"]) == (200, "PENDING", "2")


def test_only_so_many_may_wait(user: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.HEALTHKIT_INGEST = {"LONG_POLLS_AT_ONCE": 1}
    batch = accept(healthkit_body(quantity()), user=user)
    slept = threading.Event()

    def sleep(seconds: float) -> None:
        if not slept.is_set():
            slept.set()
            # While this one is held open, another comes.
            imports.get_import(user=user, import_id=batch.uuid, wait=20)
            ImportBatch.objects.using(database()).filter(pk=batch.pk).update(status=Status.FAILED)
        else:
            pytest.fail("the second one was held open, too")

    monkeypatch.setattr("django_healthkit_ingest.pipeline.imports.time.sleep", sleep)

    assert imports.get_import(user=user, import_id=batch.uuid, wait=20).status == Status.FAILED


@pytest.mark.parametrize("slots", [0, 2])
def test_a_slot_is_free_again_after_an_error(
    user: Any, settings: Any, monkeypatch: pytest.MonkeyPatch, slots: int
) -> None:
    settings.HEALTHKIT_INGEST = {"LONG_POLLS_AT_ONCE": slots}
    batch = accept(healthkit_body(quantity()), user=user)

    def explode(seconds: float) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("django_healthkit_ingest.pipeline.imports.time.sleep", explode)
    for _ in range(3):
        if slots:
            with pytest.raises(ZeroDivisionError):
                imports.get_import(user=user, import_id=batch.uuid, wait=1)
        else:
            assert imports.get_import(user=user, import_id=batch.uuid, wait=1).status == Status.PENDING


def test_an_import_tells_when_it_will_be_done(phone: Client, user: Any, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 1, "DISPATCH_WINDOW": 2}
    now = timezone.now()
    done = ImportBatchFactory.create(user=user, status=Status.COMPLETED)
    ImportChunkFactory.create(
        batch=done, status=Status.COMPLETED, due_at=now - timedelta(seconds=40), finished_at=now - timedelta(seconds=10)
    )
    batch = accept(healthkit_body(*(quantity() for _ in range(6))), user=user)

    shape = phone.get(f"{URL}{batch.uuid}/").json()

    estimate = datetime.fromisoformat(shape["estimated_finish_at"])
    assert timedelta(seconds=80) < estimate - now < timedelta(seconds=120), "three rounds of thirty seconds"
    assert 15 <= shape["retry_after"] <= 30


@pytest.mark.parametrize("is_known", [True, False], ids=["pace", "no-pace"])
def test_the_answer_to_a_body_is_what_a_reader_gets_next(user: Any, settings: Any, is_known: bool) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 1, "DISPATCH_WINDOW": 2}
    now = timezone.now()
    if is_known:
        done = ImportBatchFactory.create(user=user, status=Status.COMPLETED)
        for seconds in (10, 50):
            started = now - timedelta(seconds=seconds)
            ImportChunkFactory.create(batch=done, status=Status.COMPLETED, due_at=started, finished_at=now)
    accept(healthkit_body(*(quantity() for _ in range(3))), user=user)
    accept(healthkit_body(quantity()), user=user, lane="BACKFILL")

    told = take_body(healthkit_body(quantity(), quantity(), odd=1), user=user).status
    read = get_import(user=user, import_id=told.id)

    assert replace(told, estimated_finish_at=None) == replace(read, estimated_finish_at=None)
    assert (told.estimated_finish_at is not None) == (read.estimated_finish_at is not None) == is_known
    if told.estimated_finish_at and read.estimated_finish_at:
        assert abs(told.estimated_finish_at - read.estimated_finish_at) < timedelta(seconds=10)
        assert told.estimated_finish_at - now > timedelta(seconds=85), "three rounds of thirty seconds"


def test_retrying_brings_failed_chunks_back(phone: Client, user: Any) -> None:
    batch = ingest(healthkit_body(quantity()), user=user, format="healthkit")
    chunks = ImportChunk.objects.using(database()).filter(batch=batch)
    chunks.update(status=Status.FAILED, error_code="unknown_format")
    ImportBatch.objects.using(database()).filter(pk=batch.pk).update(status=Status.FAILED)

    answer = phone.post(f"{URL}{batch.uuid}/retry/")

    assert (answer.status_code, answer.json()["status"]) == (202, "PROCESSING")
    assert answer.json()["records"]["pending"] == 1


def test_retrying_what_has_not_failed_changes_nothing(phone: Client, user: Any) -> None:
    batch = ingest(healthkit_body(quantity()), user=user)

    assert phone.post(f"{URL}{batch.uuid}/retry/").json()["status"] == "COMPLETED"


def test_what_was_purged_cannot_be_retried(phone: Client, user: Any) -> None:
    batch = ingest(healthkit_body(quantity()), user=user)
    chunks = ImportChunk.objects.using(database()).filter(batch=batch)
    chunks.update(status=Status.FAILED, error_code="unknown_format", payload=None)
    ImportBatch.objects.using(database()).filter(pk=batch.pk).update(status=Status.FAILED)

    answer = phone.post(f"{URL}{batch.uuid}/retry/")

    assert (answer.status_code, answer.json()["code"], answer.json()["retry"]) == (410, "payload_unavailable", "NEVER")


def test_cancelling_stops_what_is_left_and_keeps_what_is_stored(phone: Client, user: Any, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 1}
    batch = accept(healthkit_body(quantity(), quantity(), quantity()), user=user)
    chunks = ImportChunk.objects.using(database()).filter(batch=batch).order_by("index")
    process(chunk_id=chunks[0].pk, task_id="one")

    answer = phone.post(f"{URL}{batch.uuid}/cancel/").json()

    assert (answer["status"], answer["error"], answer["retry_after"]) == ("FAILED", {"code": "cancelled"}, None)
    assert (answer["records"]["inserted"], answer["records"]["failed"]) == (1, 2)
    process(chunk_id=chunks[1].pk, task_id="a message that was on its way")
    assert HealthSample.objects.for_user(user).using(database()).count() == 1


def test_cancelling_and_retrying_stores_everything(phone: Client, user: Any) -> None:
    batch = accept(healthkit_body(quantity(), quantity()), user=user)
    phone.post(f"{URL}{batch.uuid}/cancel/")

    phone.post(f"{URL}{batch.uuid}/retry/")
    dispatch(user_id=user.pk, lane=batch.lane)
    process(chunk_id=ImportChunk.objects.using(database()).get(batch=batch).pk, task_id="again")

    shape = phone.get(f"{URL}{batch.uuid}/").json()
    assert (shape["status"], shape["error"], shape["records"]["inserted"]) == ("COMPLETED", None, 2)


def test_a_worker_that_has_the_chunk_when_it_is_cancelled_stores_nothing(
    phone: Client, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker has claimed and read it; the cancellation commits; then the worker comes to store."""
    batch = accept(healthkit_body(quantity()), user=user)

    def cancelled_meanwhile(*args: Any, **kwargs: Any) -> Any:
        ImportChunk.objects.using(database()).filter(batch=batch).cancel(now=timezone.now())
        return merge(*args, **kwargs)

    monkeypatch.setattr("django_healthkit_ingest.pipeline.complete.merge", cancelled_meanwhile)
    process(chunk_id=ImportChunk.objects.using(database()).get(batch=batch).pk, task_id="one")

    assert not HealthSample.objects.using(database()).exists()


def test_cancelling_what_is_done_changes_nothing(phone: Client, user: Any) -> None:
    batch = ingest(healthkit_body(quantity()), user=user)

    answer = phone.post(f"{URL}{batch.uuid}/cancel/")

    assert (answer.status_code, answer.json()["status"]) == (202, "COMPLETED")


@pytest.mark.parametrize("verb", ["retry", "cancel"])
def test_nobody_elses_import_can_be_touched(sign_in: Any, user: Any, other_user: Any, verb: str) -> None:
    batch = accept(healthkit_body(quantity()), user=user)

    for import_id in (batch.uuid, uuid4()):
        assert sign_in(other_user).post(f"{URL}{import_id}/{verb}/").status_code == 404
    batch.refresh_from_db()
    assert batch.status == Status.PENDING
