"""A file on its way to chunks: whatever breaks off, the next step goes on, and nothing is there twice."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.base import ContentFile
from django.utils import timezone

from django_healthkit_ingest import queues
from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.exceptions import (
    BodyTooLarge,
    IdempotencyMismatch,
    InvalidEnvelope,
    InvalidUpload,
    UnknownFormat,
    UnknownUpload,
)
from django_healthkit_ingest.models import HealthSample, ImportBatch, ImportUpload, database
from django_healthkit_ingest.pipeline import cut as cut_module
from django_healthkit_ingest.pipeline import split as split_module
from django_healthkit_ingest.pipeline import upload as upload_module
from django_healthkit_ingest.pipeline.accept import replayed
from django_healthkit_ingest.pipeline.erase import erase_user
from django_healthkit_ingest.pipeline.failures import SplitCrashed
from django_healthkit_ingest.pipeline.files import FOLDER, file_storage
from django_healthkit_ingest.pipeline.offer import offer_upload, receive
from django_healthkit_ingest.pipeline.process import process
from django_healthkit_ingest.pipeline.split import split
from django_healthkit_ingest.pipeline.status import ErrorCode, describe
from django_healthkit_ingest.pipeline.sweep import sweep
from django_healthkit_ingest.pipeline.upload import accept_upload
from tests.line_format import SETTING, LineFormat, lines

pytestmark = pytest.mark.django_db(databases="__all__")

HOUR = timedelta(hours=1)
TASK = "task"


@pytest.fixture(autouse=True)
def host(settings: Any, tmp_path: Path) -> None:
    settings.HEALTHKIT_INGEST = SETTING
    settings.MEDIA_ROOT = str(tmp_path)


@pytest.fixture
def send(user: Any, messages: Any, django_capture_on_commit_callbacks: Any) -> Callable[..., ImportBatch]:
    def accept_file(content: bytes, **options: Any) -> ImportBatch:
        with django_capture_on_commit_callbacks(execute=True, using=database()):
            return accept_upload(ContentFile(content), user=options.pop("user", user), **options)

    return accept_file


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every portion is a step of its own."""
    monkeypatch.setattr(split_module, "STEP_SHARE_OF_LEASE", 0.0)


@pytest.fixture
def eager_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every portion is committed by itself."""
    monkeypatch.setattr(cut_module, "HELD_BYTES", 1)


def upload_of(batch: ImportBatch) -> ImportUpload:
    return ImportUpload.objects.using(database()).select_related("batch").get(batch=batch)


def chunk_rows(batch: ImportBatch) -> list[tuple[int, int, int]]:
    return list(batch.chunks.order_by("index").values_list("index", "first_index", "received"))


def work_off(messages: Any) -> None:
    """As workers would."""
    while messages:
        message = messages.popleft()
        if message.name == queues.SPLIT_UPLOAD:
            split(upload_id=message.ids["upload_id"], task_id=str(uuid4()))
        if message.name == queues.PROCESS_CHUNK:
            process(chunk_id=message.ids["chunk_id"], task_id=str(uuid4()))


def files() -> list[str]:
    try:
        return file_storage().listdir(FOLDER)[1]
    except FileNotFoundError:
        return []


def test_a_file_is_stored_and_committed_before_anything_is_read(
    send: Callable[..., ImportBatch], messages: Any, user: Any
) -> None:
    content = lines(3)

    batch = send(content, time_zone="Europe/Berlin", device="phone-7")

    upload = upload_of(batch)
    assert (batch.status, batch.format, batch.lane, batch.split_done) == ("PENDING", "lines", "BACKFILL", False)
    assert (batch.time_zone, batch.device_id, batch.user_id) == ("Europe/Berlin", "phone-7", user.pk)
    assert batch.body_sha256 == hashlib.sha256(content).hexdigest()
    assert (upload.size, upload.name) == (len(content), f"{FOLDER}/{batch.uuid}")
    assert [(each.name, each.ids) for each in messages] == [(queues.SPLIT_UPLOAD, {"upload_id": upload.pk})]
    assert describe(batch).records["received"] is None
    assert describe(batch).chunks["total"] is None


def test_a_file_ends_as_rows_and_is_gone(send: Callable[..., ImportBatch], messages: Any, user: Any) -> None:
    batch = send(lines(5))

    work_off(messages)

    batch.refresh_from_db()
    assert (batch.status, batch.received, batch.inserted, batch.chunk_count) == (Status.COMPLETED, 5, 5, 3)
    assert chunk_rows(batch) == [(0, 0, 2), (1, 2, 2), (2, 4, 1)]
    assert HealthSample.objects.for_user(user).count() == 5
    assert describe(batch).records["received"] == 5
    assert (files(), upload_of(batch).name) == ([], "")


def test_a_file_without_records_completes(send: Callable[..., ImportBatch], messages: Any) -> None:
    batch = send(b"\n")

    work_off(messages)

    batch.refresh_from_db()
    assert (batch.status, batch.received, batch.chunk_count) == (Status.COMPLETED, 0, 0)


def test_steps_follow_each_other_until_the_file_is_done(
    send: Callable[..., ImportBatch], messages: Any, hasty: None
) -> None:
    batch = send(lines(6))
    upload_id = messages.popleft().ids["upload_id"]

    split(upload_id=upload_id, task_id=TASK)

    first = upload_of(batch)
    assert chunk_rows(batch) == [(0, 0, 2)]
    assert 0 < first.position["bytes"] < first.size
    assert first.lease_until is None
    assert [each.name for each in messages].count(queues.SPLIT_UPLOAD) == 1
    work_off(messages)
    batch.refresh_from_db()
    assert chunk_rows(batch) == [(0, 0, 2), (1, 2, 2), (2, 4, 2)]
    assert (batch.status, batch.received) == (Status.COMPLETED, 6)


def test_work_starts_while_the_file_is_still_being_cut(
    send: Callable[..., ImportBatch], messages: Any, hasty: None
) -> None:
    batch = send(lines(6))
    split(upload_id=messages.popleft().ids["upload_id"], task_id=TASK)
    chunk = next(each for each in messages if each.name == queues.PROCESS_CHUNK)

    process(chunk_id=chunk.ids["chunk_id"], task_id=TASK)

    batch.refresh_from_db()
    assert batch.status == Status.PROCESSING
    assert batch.chunks.filter(status=Status.COMPLETED).count() == 1


class Killed(BaseException):
    """What kill -9 leaves: the process goes on nowhere, nothing after the last commit happened."""


@pytest.mark.parametrize("killed_at", [1, 2, 3])
def test_a_killed_step_is_taken_up_where_its_last_commit_was(
    killed_at: int,
    send: Callable[..., ImportBatch],
    messages: Any,
    user: Any,
    eager_cut: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = send(lines(6))
    upload_id = messages.popleft().ids["upload_id"]
    commits = iter(range(1, 99))

    def dying(self: Any, **options: Any) -> None:
        if next(commits) == killed_at:
            raise Killed
        commit(self, **options)

    commit = cut_module.Cut.commit
    with monkeypatch.context() as patch:
        patch.setattr(cut_module.Cut, "commit", dying)
        with pytest.raises(Killed):
            split(upload_id=upload_id, task_id=TASK)
    left = len(chunk_rows(batch))

    split(upload_id=upload_id, task_id=TASK)  # redelivered: the same task id
    work_off(messages)

    batch.refresh_from_db()
    assert left == killed_at - 1
    assert chunk_rows(batch) == [(0, 0, 2), (1, 2, 2), (2, 4, 2)]
    assert (batch.status, batch.received, HealthSample.objects.for_user(user).count()) == (Status.COMPLETED, 6, 6)


def test_another_task_waits_for_the_dead_ones_lease(send: Callable[..., ImportBatch], messages: Any) -> None:
    batch = send(lines(2))
    uploads = ImportUpload.objects.using(database())
    uploads.update(claimed_by="dead", lease_until=timezone.now() + HOUR, attempts=1)
    upload_id = upload_of(batch).pk

    split(upload_id=upload_id, task_id="other")
    waited = len(chunk_rows(batch))
    uploads.update(lease_until=timezone.now() - HOUR)
    split(upload_id=upload_id, task_id="other")

    assert (waited, len(chunk_rows(batch))) == (0, 1)


def test_a_worker_that_wakes_up_too_late_stores_nothing(
    send: Callable[..., ImportBatch], messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = send(lines(4))
    upload_id = upload_of(batch).pk
    add = cut_module.Cut.add
    woken: list[bool] = []

    def slow(self: Any, portion: Any, **options: Any) -> None:
        if not woken:
            woken.append(True)
            split(upload_id=upload_id, task_id=TASK)  # the redelivery overtakes
        add(self, portion, **options)

    monkeypatch.setattr(cut_module.Cut, "add", slow)
    split(upload_id=upload_id, task_id=TASK)

    batch.refresh_from_db()
    assert chunk_rows(batch) == [(0, 0, 2), (1, 2, 2)]
    assert batch.received == 4


def test_a_file_that_cannot_be_read_fails_with_a_code_and_keeps_what_was_read(
    send: Callable[..., ImportBatch], messages: Any, user: Any, eager_cut: None
) -> None:
    batch = send(lines(2, b"!"))

    work_off(messages)

    batch.refresh_from_db()
    assert (batch.status, describe(batch).error) == (Status.FAILED, ErrorCode(code="malformed_body"))
    assert HealthSample.objects.for_user(user).count() == 2
    assert (batch.received, batch.inserted, files()) == (2, 2, [])


@pytest.mark.parametrize("error", [ConnectionError("10.0.0.1"), OSError(5, "input/output error"), TimeoutError()])
def test_a_storage_in_trouble_is_tried_again_later(
    error: Exception, send: Callable[..., ImportBatch], messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = send(lines(2, b"trouble", b""))
    upload_id = messages.popleft().ids["upload_id"]
    monkeypatch.setitem(LineFormat.trouble, "trouble", error)

    split(upload_id=upload_id, task_id=TASK)

    (message,) = [each for each in messages if each.name == queues.SPLIT_UPLOAD]
    assert message.delay is not None
    monkeypatch.delitem(LineFormat.trouble, "trouble")
    work_off(messages)
    batch.refresh_from_db()
    assert (batch.status, batch.received) == (Status.COMPLETED, 2)


def test_attempts_without_progress_end(
    send: Callable[..., ImportBatch], messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LineFormat.trouble, "trouble", OSError(5, "input/output error"))
    batch = send(b"trouble\n")

    work_off(messages)

    batch.refresh_from_db()
    assert (batch.status, describe(batch).error) == (Status.FAILED, ErrorCode(code="attempts_exhausted"))
    assert upload_of(batch).attempts == 5


def test_progress_gives_the_attempts_back(
    send: Callable[..., ImportBatch], messages: Any, eager_cut: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = send(lines(2, b"trouble"))
    ImportUpload.objects.using(database()).update(attempts=4)
    monkeypatch.setitem(LineFormat.trouble, "trouble", OSError(5, "input/output error"))

    split(upload_id=messages.popleft().ids["upload_id"], task_id=TASK)

    assert upload_of(batch).attempts == 0


def test_an_unforeseen_error_says_its_name_only(
    send: Callable[..., ImportBatch], messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LineFormat.trouble, "trouble", ZeroDivisionError("61 beats of Anna"))
    batch = send(b"trouble\n")

    with pytest.raises(SplitCrashed) as caught:
        split(upload_id=messages.popleft().ids["upload_id"], task_id=TASK)

    assert str(caught.value) == f"Upload {upload_of(batch).pk}: ZeroDivisionError"


def test_a_file_that_is_gone_fails_the_import(send: Callable[..., ImportBatch], messages: Any) -> None:
    batch = send(lines(2))
    file_storage().delete(upload_of(batch).name)

    work_off(messages)

    batch.refresh_from_db()
    assert (batch.status, describe(batch).error) == (Status.FAILED, ErrorCode(code="payload_unavailable"))


def test_a_batch_is_not_closed_before_its_file_is_done(
    send: Callable[..., ImportBatch], messages: Any, hasty: None
) -> None:
    batch = send(lines(6))
    split(upload_id=messages.popleft().ids["upload_id"], task_id=TASK)
    rest = [each for each in list(messages) if each.name == queues.SPLIT_UPLOAD]
    messages.clear()
    for chunk in batch.chunks.all():
        process(chunk_id=chunk.pk, task_id=TASK)

    open_still = ImportBatch.objects.using(database()).get(pk=batch.pk).status
    messages.extend(rest)
    work_off(messages)

    batch.refresh_from_db()
    assert (open_still, batch.status) == (Status.PROCESSING, Status.COMPLETED)


def test_the_same_key_and_file_are_the_same_import(send: Callable[..., ImportBatch], messages: Any) -> None:
    content = lines(2)
    first = send(content, idempotency_key="k")

    again = send(content, idempotency_key="k")

    assert (again.pk, again.replayed, len(files())) == (first.pk, True, 1)
    with pytest.raises(IdempotencyMismatch):
        send(lines(2), idempotency_key="k")
    assert len(files()) == 1


def test_a_race_for_one_key_leaves_one_file(
    send: Callable[..., ImportBatch], messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = lines(2)
    first = send(content, idempotency_key="k")
    blind = iter([None])
    look = replayed
    monkeypatch.setattr(upload_module, "replayed", lambda **options: next(blind, look(**options)))
    again = send(content, idempotency_key="k")

    assert (again.pk, len(files())) == (first.pk, 1)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"format": "fax"}, UnknownFormat),
        ({"time_zone": "Europe/Atlantis"}, InvalidEnvelope),
        ({"lane": "FAST"}, InvalidEnvelope),
        ({"device": "x" * 129}, InvalidEnvelope),
        ({"idempotency_key": ""}, InvalidEnvelope),
        ({"idempotency_key": "a\0b"}, InvalidEnvelope),
        ({"client": {"name": "a\0b"}}, InvalidEnvelope),
    ],
)
def test_what_can_never_be_accepted_leaves_no_file(
    options: dict[str, Any], error: type[Exception], send: Callable[..., ImportBatch]
) -> None:
    with pytest.raises(error):
        send(lines(1), **options)

    assert files() == []


def test_a_format_that_reads_no_files_is_refused(send: Callable[..., ImportBatch], settings: Any) -> None:
    healthkit = "django_healthkit_ingest.core.formats.healthkit.HealthKitFormat"
    settings.HEALTHKIT_INGEST = {"FORMATS": [healthkit, *SETTING["FORMATS"]]}

    with pytest.raises(UnknownFormat, match="lines"):
        send(lines(1), format="healthkit")


@pytest.mark.parametrize(("content", "error"), [(b"", InvalidEnvelope), (lines(9), BodyTooLarge)])
def test_size_is_checked_before_anything_is_stored(
    content: bytes, error: type[Exception], send: Callable[..., ImportBatch], settings: Any
) -> None:
    settings.HEALTHKIT_INGEST = {**SETTING, "MAX_UPLOAD_BYTES": 1000}

    with pytest.raises(error):
        send(content)

    assert files() == []


def test_a_token_is_one_batch(user: Any, messages: Any) -> None:
    token = offer_upload(user=user).token
    content = lines(2)
    receive([content[:9], content[9:]], token=token, user=user)

    first, again = accept_upload(token, user=user), accept_upload(token, user=user)

    assert (again.pk, first.replayed, again.replayed) == (first.pk, False, True)
    assert (upload_of(first).size, first.body_sha256) == (len(content), "")


def test_sent_again_before_the_import_the_second_counts(user: Any, messages: Any) -> None:
    token = offer_upload(user=user).token

    for content in (lines(9), lines(2)):
        receive([content], token=token, user=user)

    assert upload_of(accept_upload(token, user=user)).size == len(content)
    assert len(files()) == 1


def test_an_imported_upload_takes_no_more_bytes(user: Any, messages: Any) -> None:
    token = offer_upload(user=user).token
    receive([lines(2)], token=token, user=user)
    accept_upload(token, user=user)

    with pytest.raises(InvalidUpload):
        receive([lines(3)], token=token, user=user)


def test_a_token_is_its_users_only(user: Any, other_user: Any, messages: Any) -> None:
    token = offer_upload(user=user).token
    receive([lines(2)], token=token, user=user)

    for forged in (token, f"{uuid4()}", f"{FOLDER}/{token.partition(':')[0]}", ""):
        with pytest.raises(UnknownUpload):
            accept_upload(forged, user=other_user)
        with pytest.raises(UnknownUpload):
            receive([lines(2)], token=forged, user=other_user)


def test_an_upload_that_never_arrived_or_is_too_old_says_so(
    user: Any, messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = offer_upload(user=user).token
    with pytest.raises(InvalidUpload, match="arrived"):
        accept_upload(token, user=user)

    later = time.time() + 2 * 86400
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(InvalidUpload, match="expired"):
        accept_upload(token, user=user)


def test_too_large_for_the_storage_is_never_kept(user: Any, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {**SETTING, "MAX_UPLOAD_BYTES": 1000}
    taken: list[int] = []

    def endless() -> Any:
        while True:
            taken.append(1)
            yield b"x" * 400

    with pytest.raises(BodyTooLarge):
        receive(endless(), token=offer_upload(user=user).token, user=user)

    assert (len(taken), files()) == (3, [])


def test_a_key_cannot_be_used_for_two_tokens(user: Any, messages: Any) -> None:
    tokens = [offer_upload(user=user).token for _ in range(2)]
    for token in tokens:
        receive([lines(2)], token=token, user=user)
    accept_upload(tokens[0], user=user, idempotency_key="k")

    with pytest.raises(IdempotencyMismatch):
        accept_upload(tokens[1], user=user, idempotency_key="k")


def test_erasing_takes_the_file_along(
    send: Callable[..., ImportBatch], user: Any, django_capture_on_commit_callbacks: Any
) -> None:
    send(lines(2))

    with django_capture_on_commit_callbacks(execute=True, using=database()):
        erase_user(user_id=user.pk)

    assert files() == []
    assert not ImportUpload.objects.using(database()).exists()


def test_an_erased_user_gets_no_chunk(
    send: Callable[..., ImportBatch], messages: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker has read its portion; the erasure commits; then the worker wants to commit."""
    batch = send(lines(2))
    upload_id = upload_of(batch).pk
    add = cut_module.Cut.add

    def overtaken(self: Any, portion: Any, **options: Any) -> None:
        add(self, portion, **options)
        erase_user(user_id=user.pk)

    monkeypatch.setattr(cut_module.Cut, "add", overtaken)
    split(upload_id=upload_id, task_id=TASK)

    assert not batch.chunks.exists()


def test_a_deleted_user_is_erased_and_not_imported(send: Callable[..., ImportBatch], user: Any, messages: Any) -> None:
    batch = send(lines(2))
    type(user)._base_manager.filter(pk=user.pk)._raw_delete(type(user)._base_manager.db)

    split(upload_id=upload_of(batch).pk, task_id=TASK)

    assert not ImportBatch.objects.using(database()).exists()


def test_sweep_sends_what_the_broker_refused(
    send: Callable[..., ImportBatch], messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(upload_module, "enqueue", lambda name, **ids: False)
        batch = send(lines(2))
    assert upload_of(batch).sent_at is None

    swept, again = sweep(), sweep()

    assert (swept.uploads_sent, again.uploads_sent) == (1, 0)
    assert [message.name for message in messages] == [queues.SPLIT_UPLOAD]


@pytest.mark.parametrize(
    ("changes", "sent"),
    [
        ({"sent_at": timedelta(minutes=29)}, 0),
        ({"sent_at": timedelta(minutes=31)}, 1),
        ({"sent_at": timedelta(minutes=31), "lease_until": -HOUR}, 0),
        ({"sent_at": timedelta(0), "lease_until": HOUR}, 1),
    ],
)
def test_sweep_finds_lost_messages_and_dead_workers(
    changes: dict[str, timedelta], sent: int, send: Callable[..., ImportBatch]
) -> None:
    send(lines(2))
    now = timezone.now()
    ImportUpload.objects.using(database()).update(**{name: now - age for name, age in changes.items()})

    swept, again = sweep(), sweep()

    assert (swept.uploads_sent, again.uploads_sent) == (sent, 0)


def test_sweep_deletes_files_whose_deletion_a_crash_left_undone(
    send: Callable[..., ImportBatch], messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = send(lines(2))
    with monkeypatch.context() as patch:
        patch.setattr(split_module, "delete_file", lambda **options: None)
        work_off(messages)
    left = len(files())

    swept = sweep()

    assert (left, swept.files_deleted, files(), upload_of(batch).name) == (1, 1, [], "")


def test_sweep_deletes_what_was_never_imported_and_nothing_else(
    send: Callable[..., ImportBatch], user: Any, settings: Any
) -> None:
    batch = send(lines(2))
    for _ in range(2):
        receive([lines(1)], token=offer_upload(user=user).token, user=user)
    old, waiting = (name for name in files() if name != str(batch.uuid))
    long_ago = time.time() - 2 * 86400
    for name in (old, str(batch.uuid)):
        os.utime(Path(settings.MEDIA_ROOT, FOLDER, name), (long_ago, long_ago))

    deleted = sweep().files_deleted

    assert (deleted, sorted(files())) == (1, sorted([waiting, str(batch.uuid)]))
