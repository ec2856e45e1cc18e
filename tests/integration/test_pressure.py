"""When the workers cannot keep up, or the broker is away, phones are asked to come back later."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.utils import timezone

from django_healthkit_ingest.core.states import Pausable, Status
from django_healthkit_ingest.exceptions import BacklogFull, UserBacklogFull
from django_healthkit_ingest.models import ImportBatch, ImportUpload, database
from django_healthkit_ingest.pipeline import accept as accepting
from django_healthkit_ingest.pipeline import dispatch as dispatching
from django_healthkit_ingest.pipeline.accept import accept
from django_healthkit_ingest.pipeline.dispatch import dispatch
from django_healthkit_ingest.pipeline.pressure import LONGEST_BREAK, SHORTEST_BREAK, STUCK, backlog_age
from django_healthkit_ingest.pipeline.process import process
from django_healthkit_ingest.pipeline.replay import replay
from django_healthkit_ingest.pipeline.sweep import sweep
from django_healthkit_ingest.pipeline.switches import pause, resume
from django_healthkit_ingest.pipeline.upload import accept_upload
from django_healthkit_ingest.testing import healthkit_body
from django_healthkit_ingest.testing.payloads import quantity
from tests.line_format import SETTING, lines

pytestmark = pytest.mark.django_db(databases="__all__")


def body(records: int = 1) -> bytes:
    return healthkit_body(*(quantity() for _ in range(records)))


@pytest.fixture
def crowd(accepted: Callable[..., ImportBatch], user_factory: Callable[[], Any], chunks: Any) -> Callable[..., None]:
    """So many users, each with one chunk that has been waiting for a worker for so long."""

    def wait(*, users: int = STUCK + 1, age: timedelta) -> None:
        for _ in range(users):
            batch = accepted(body(), user=user_factory())
            dispatch(user_id=batch.user_id, lane=batch.lane)
            chunks.filter(batch=batch).update(due_at=timezone.now() - age)

    return wait


def count() -> int:
    return ImportBatch.objects.using(database()).count()


def test_a_user_with_too_much_under_way_waits_and_nobody_else(
    accepted: Callable[..., ImportBatch], user: Any, other_user: Any, settings: Any
) -> None:
    settings.HEALTHKIT_INGEST = {"MAX_PENDING_RECORDS_PER_USER": 3}
    accepted(body(2))
    accepted(body(1))
    before = count()

    with pytest.raises(UserBacklogFull) as caught:
        accepted(body())
    accepted(body(), user=other_user)

    assert caught.value.retry_after >= SHORTEST_BREAK.total_seconds()
    assert count() == before + 1


def test_what_is_finished_makes_room(accepted: Callable[..., ImportBatch], settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"MAX_PENDING_RECORDS_PER_USER": 2}
    batch = accepted(body(2))

    process(chunk_id=batch.chunks.get().pk, task_id="a")

    assert accepted(body(2)).received == 2


def test_a_repeat_is_answered_however_full_it_is(
    accepted: Callable[..., ImportBatch], settings: Any, crowd: Callable[..., None]
) -> None:
    settings.HEALTHKIT_INGEST = {"MAX_PENDING_RECORDS_PER_USER": 1}
    content = body()
    first = accepted(content, idempotency_key="once")
    crowd(age=timedelta(hours=2))

    second = accepted(content, idempotency_key="once")

    assert (second.pk, second.replayed) == (first.pk, True)


@pytest.mark.parametrize(
    ("age", "shortest", "longest"),
    [
        (timedelta(minutes=61), timedelta(minutes=15), timedelta(minutes=19)),
        (timedelta(days=2), LONGEST_BREAK, LONGEST_BREAK * 1.2),
    ],
)
def test_a_queue_that_stands_still_stops_the_intake(
    accepted: Callable[..., ImportBatch],
    crowd: Callable[..., None],
    age: timedelta,
    shortest: timedelta,
    longest: timedelta,
) -> None:
    crowd(age=age)

    with pytest.raises(BacklogFull) as caught:
        accepted(body())

    assert shortest.total_seconds() <= caught.value.retry_after <= longest.total_seconds()


def test_the_break_grows_with_the_age(
    accepted: Callable[..., ImportBatch], crowd: Callable[..., None], settings: Any
) -> None:
    settings.HEALTHKIT_INGEST = {"MAX_BACKLOG_AGE": timedelta(minutes=1)}
    crowd(age=timedelta(minutes=8))

    with pytest.raises(BacklogFull) as caught:
        accepted(body())

    assert 120 <= caught.value.retry_after <= 145


@pytest.mark.parametrize(
    ("users", "age"), [(STUCK, timedelta(days=1)), (STUCK + 5, timedelta(minutes=59))], ids=["stuck", "busy"]
)
def test_a_few_stuck_chunks_or_a_busy_hour_stop_nobody(
    accepted: Callable[..., ImportBatch], crowd: Callable[..., None], users: int, age: timedelta
) -> None:
    crowd(users=users, age=age)

    assert accepted(body()).received == 1


def test_a_long_backfill_is_no_backlog(
    accepted: Callable[..., ImportBatch], chunks: Any, settings: Any, other_user: Any
) -> None:
    """Its chunks wait for their user's window, and not for a worker, however long that takes."""
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 1}
    batch = accepted(body(STUCK * 3), lane="BACKFILL")
    ImportBatch.objects.using(database()).update(created_at=timezone.now() - timedelta(days=1))
    dispatch(user_id=batch.user_id, lane=batch.lane)

    assert chunks.filter(due_at__isnull=False).count() == 2
    assert backlog_age() == timedelta(0)
    assert accepted(body(), user=other_user).received == 1


def test_sending_again_does_not_make_a_chunk_younger(
    accepted: Callable[..., ImportBatch], chunks: Any, messages: Any
) -> None:
    batch = accepted(body())
    dispatch(user_id=batch.user_id, lane=batch.lane)
    long_ago = timezone.now() - timedelta(hours=2)
    chunks.update(due_at=long_ago, sent_at=long_ago)

    sweep()

    chunk = chunks.get()
    assert chunk.sent_at > long_ago
    assert chunk.due_at == long_ago


def test_a_chunk_that_is_put_back_waits_from_then_on(
    accepted: Callable[..., ImportBatch], chunks: Any, messages: Any
) -> None:
    batch = accepted(body())
    now = timezone.now()
    chunks.update(status=Status.PROCESSING, claim_no=1, due_at=now - timedelta(hours=2))

    chunks.all().postpone(claim_no=1, until=now + timedelta(minutes=2))

    assert chunks.get(batch=batch).due_at == now + timedelta(minutes=2)
    assert not chunks.all().due(now=now).exists()


def test_a_broker_outage_degrades_instead_of_drowning(
    messages: Any,
    user_factory: Callable[[], Any],
    chunks: Any,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    """No message gets out: phones are answered 202 for an hour, then asked to keep their data; then it goes on."""
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 1}
    people = [user_factory() for _ in range(STUCK + 1)]
    for module in (accepting, dispatching):
        monkeypatch.setattr(module, "enqueue", lambda *args, **kwargs: False)
    with django_capture_on_commit_callbacks(using=database(), execute=True):
        for person in people:
            accept(body(3), user=person)
    assert chunks.filter(due_at__isnull=False).count() == len(people)
    chunks.filter(due_at__isnull=False).update(due_at=timezone.now() - timedelta(minutes=61))
    sweep()

    with pytest.raises(BacklogFull):
        accept(body(), user=people[0])
    monkeypatch.undo()
    for chunk_id in chunks.filter(index=0).values_list("pk", flat=True):
        process(chunk_id=chunk_id, task_id=str(chunk_id))

    assert accept(body(), user=people[0]).received == 1


def test_without_limits_everything_is_taken(
    accepted: Callable[..., ImportBatch], crowd: Callable[..., None], settings: Any
) -> None:
    settings.HEALTHKIT_INGEST = {"MAX_PENDING_RECORDS_PER_USER": None, "MAX_BACKLOG_AGE": None}
    crowd(age=timedelta(days=9))

    assert accepted(body()).received == 1


def test_a_pause_is_no_backlog_and_neither_is_the_time_after_it(
    accepted: Callable[..., ImportBatch], crowd: Callable[..., None]
) -> None:
    pause(Pausable.PROCESSING)
    crowd(age=timedelta(hours=5))
    during = accepted(body())
    resume(Pausable.PROCESSING)

    after = accepted(body())

    assert (during.received, after.received) == (1, 1)


def test_a_replayed_chunk_begins_to_wait_anew(accepted: Callable[..., ImportBatch], chunks: Any) -> None:
    batch = accepted(body())
    process(chunk_id=batch.chunks.get().pk, task_id="a")
    chunks.update(due_at=timezone.now() - timedelta(days=3))

    replay(batch=batch)

    waiting_since = chunks.get().due_at
    assert waiting_since is None or waiting_since > timezone.now() - timedelta(minutes=5)


def test_files_wait_as_bodies_do(
    user: Any, messages: Any, settings: Any, tmp_path: Any, crowd: Callable[..., None]
) -> None:
    crowd(age=timedelta(hours=2))
    settings.HEALTHKIT_INGEST = SETTING
    settings.MEDIA_ROOT = tmp_path

    with pytest.raises(BacklogFull):
        accept_upload(ContentFile(lines(3)), user=user, format="lines")

    assert not ImportUpload.objects.using(database()).exists()
    assert not list(tmp_path.rglob("*.*"))


def test_the_errors_survive_another_process() -> None:
    error = pickle.loads(pickle.dumps(BacklogFull("Later.", retry_after=90)))

    assert (type(error), error.detail, error.retry_after) == (BacklogFull, "Later.", 90)
