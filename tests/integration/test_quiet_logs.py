"""Whatever is sent and whatever fails, no log says what was in it; at DEBUG, with every traceback."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.core.files.base import ContentFile
from django.db import DataError, IntegrityError, OperationalError
from django.test import Client
from kombu.exceptions import KombuError
from rest_framework.authtoken.models import Token

from django_healthkit_ingest import queues
from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import ImportBatch, ImportChunk, ImportUpload, RejectedSample, database
from django_healthkit_ingest.pipeline import complete, dispatch, finish, split
from django_healthkit_ingest.pipeline.failures import AcceptCrashed
from django_healthkit_ingest.pipeline.upload import accept_upload
from django_healthkit_ingest.sqs.metrics import EMFFormatter, JSONFormatter
from django_healthkit_ingest.testing.payloads import category, correlation, flutter_point, quantity, statistic
from tests.line_format import SETTING, lines

pytestmark = pytest.mark.django_db(databases="__all__")

MARK = "zqxsecret"
URL = "/health/imports/"


class Everything(logging.Handler):
    """What a host's formatters make of each record, and what is attached to those of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.loggers: set[str] = set()
        plain = logging.Formatter("%(levelname)s %(name)s %(message)s")
        self.formatters = (plain, JSONFormatter(), EMFFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        self.loggers.add(record.name)
        self.texts += [formatter.format(record) for formatter in self.formatters]
        if record.name.startswith("django_healthkit_ingest"):
            self.texts.append(repr(vars(record)))

    def leaks(self) -> list[str]:
        return [text for text in self.texts if MARK in text.lower()]


@pytest.fixture
def logged() -> Iterator[Everything]:
    root, handler = logging.getLogger(), Everything()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def patient(user_factory: Callable[..., Any]) -> Any:
    return user_factory(username=f"{MARK}-anna")


@pytest.fixture
def phone(patient: Any, messages: Any) -> Client:
    token, _ = Token.objects.get_or_create(user=patient)
    return Client(headers={"Authorization": f"Token {token.key}"}, raise_request_exception=False)


def secrets() -> Iterator[str]:
    return (f"{MARK}{number}" for number in count())


def planted(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The record as it is but for one field: a secret text, a secret inside an object, a secret key."""
    told = secrets()
    for name in record:
        yield {**record, name: next(told)}
        yield {**record, name: {next(told): next(told)}}
        yield {**record, name: [next(told), {"value": next(told)}]}
    yield {**record, next(told): next(told), "metadata": {next(told): next(told)}}
    yield {**record, "source": {"name": next(told), "bundle_id": next(told)}, "device": {"name": next(told)}}


def healthkit_bodies() -> Iterator[dict[str, Any]]:
    records = (quantity(), category(), correlation(quantity()), quantity("HKQuantityTypeIdentifierNew"))
    envelope: dict[str, Any] = {
        "format": "healthkit",
        "device": {"id": f"{MARK}-device", "name": f"{MARK}'s phone"},
        "client": {"name": f"{MARK}-app"},
        "anchors": {"HKQuantityTypeIdentifierHeartRate": f"{MARK}-anchor"},
        "samples": [hostile for record in records for hostile in planted(record)],
        "deletions": list(planted({"uuid": "5013AAAA-0000-4000-8000-000000000001"})),
        "statistics": list(planted(statistic())),
    }
    yield envelope
    for name in ("time_zone", "lane", "sequence", "windows", "device", "samples", "version"):
        yield {**envelope, name: f"{MARK}-{name}"}
    yield {**envelope, f"{MARK}-key": f"{MARK}-value", "windows": [{"types": [f"{MARK}"], "start": MARK, "end": MARK}]}


def flutter_bodies() -> Iterator[dict[str, Any]]:
    yield {"format": "flutter", "time_zone": "UTC", "samples": list(planted(flutter_point()))}


def raw_bodies() -> Iterator[bytes]:
    yield from (json.dumps(body).encode() for body in (*healthkit_bodies(), *flutter_bodies()))
    yield f'{{"samples": [{MARK}'.encode()
    yield json.dumps([MARK]).encode()
    yield f"{MARK}".encode()


def work_off(messages: Any) -> None:
    """As workers would: by Celery's own tracer, which logs what a task raises. Hopeless chunks are left in the end."""
    for batch_id in ImportBatch.objects.using(database()).values_list("pk", flat=True):
        run(queues.DISPATCH_BATCH, batch_id=batch_id)
    for _ in range(200):
        if not messages:
            break
        message = messages.popleft()
        run(message.name, **message.ids)
    run(queues.SWEEP)


def run(name: str, **ids: Any) -> None:
    current_app.tasks[name].apply(kwargs=ids)


def test_hostile_bodies_leave_nothing_in_the_logs(phone: Client, logged: Everything, messages: Any) -> None:
    statuses = set()
    for number, body in enumerate(raw_bodies()):
        headers = {"Idempotency-Key": f"{MARK}-{number}"}
        for _ in range(2):
            statuses.add(phone.post(URL, body, content_type="application/json", headers=headers).status_code)
        other = phone.post(URL, body + b" ", content_type=f"text/{MARK}", headers=headers)
        statuses.add(other.status_code)
    work_off(messages)
    for batch in ImportBatch.objects.using(database()):
        for path in (f"{URL}{batch.uuid}/", f"{URL}{batch.uuid}/rejected/"):
            statuses.add(phone.get(path).status_code)

    assert {200, 202, 400} <= statuses
    assert 500 not in statuses
    assert RejectedSample.objects.using(database()).count() > 50
    assert "django_healthkit_ingest.metrics" in logged.loggers
    assert logged.leaks() == []


ERRORS = (ValueError, KeyError, IntegrityError, DataError, OperationalError, TimeoutError)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(
    ("module", "name"),
    [(complete, "merge"), (complete, "type_ids"), (finish, "release"), (dispatch, "lock_user")],
    ids=["merge", "references", "finish", "dispatch"],
)
def test_an_error_that_quotes_its_row_is_logged_without_its_text(
    phone: Client,
    logged: Everything,
    messages: Any,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    name: str,
    error: type[Exception],
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        try:
            raise LookupError(f"{MARK} was the cause")
        except LookupError as cause:
            raise error(f"Failing row contains (1, {MARK}).") from cause

    answer = phone.post(URL, json.dumps(next(healthkit_bodies())), content_type="application/json")
    monkeypatch.setattr(module, name, fail)

    work_off(messages)

    assert answer.status_code == 202
    assert any(error.__name__ in text for text in logged.texts)
    assert logged.leaks() == []


@pytest.mark.parametrize("error", [IntegrityError, DataError, OperationalError])
def test_a_body_that_cannot_be_stored_is_logged_without_its_text(
    phone: Client, logged: Everything, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise error(f"Failing row contains (1, {MARK}).")

    monkeypatch.setattr(ImportBatch, "save", fail)

    answer = phone.post(URL, json.dumps(next(healthkit_bodies())), content_type="application/json")

    assert answer.status_code in {500, 503}
    assert any(error.__name__ in text for text in logged.texts)
    assert logged.leaks() == []


@pytest.mark.parametrize("error", [IntegrityError, DataError])
def test_a_file_that_cannot_be_noted_is_refused_without_the_text(
    patient: Any, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path, error: type[Exception]
) -> None:
    settings.HEALTHKIT_INGEST, settings.MEDIA_ROOT = SETTING, str(tmp_path)

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise error(f"Failing row contains (1, {MARK}).")

    monkeypatch.setattr(ImportBatch, "save", fail)

    with pytest.raises(AcceptCrashed) as refused:
        accept_upload(ContentFile(lines(3), name=f"{MARK}.xml"), user=patient)

    assert MARK not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("error", ERRORS)
def test_a_file_that_cannot_be_read_is_logged_without_its_name(
    patient: Any,
    messages: Any,
    logged: Everything,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
    tmp_path: Path,
    error: type[Exception],
) -> None:
    settings.HEALTHKIT_INGEST, settings.MEDIA_ROOT = SETTING, str(tmp_path)

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise error(f"cannot open {MARK}.xml")

    file = ContentFile(lines(3), name=f"{MARK}.xml")
    batch = accept_upload(file, user=patient, idempotency_key=f"{MARK}")
    monkeypatch.setattr(split, "Cut", fail)

    run(queues.SPLIT_UPLOAD, upload_id=ImportUpload.objects.using(database()).get(batch=batch).pk)

    assert any(error.__name__ in text for text in logged.texts)
    assert logged.leaks() == []


def test_a_broker_that_refuses_is_logged_without_its_words(
    patient: Any, logged: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise KombuError(f"sqs://{MARK}:{MARK}@host")

    task = current_app.tasks[queues.PROCESS_CHUNK]
    monkeypatch.setattr(task, "apply_async", refuse)

    assert queues.enqueue(queues.PROCESS_CHUNK, user_id=patient.pk, lane="LIVE", chunk_id=1) is False
    assert "KombuError" in "".join(logged.texts)
    assert logged.leaks() == []


def test_a_chunk_that_is_given_up_is_logged_by_its_code(phone: Client, logged: Everything, messages: Any) -> None:
    phone.post(URL, json.dumps(next(healthkit_bodies())), content_type="application/json")
    ImportChunk.objects.using(database()).update(payload=None)

    work_off(messages)

    assert set(ImportChunk.objects.using(database()).values_list("status", flat=True)) == {Status.FAILED}
    assert any("payload_unavailable" in text for text in logged.texts)
    assert logged.leaks() == []
