"""An export holds every row of its user, in parts that are one file, whatever breaks off on the way."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.files.storage import storages
from django.db import OperationalError, connections, transaction
from django.utils import timezone

from django_healthkit_ingest import queues
from django_healthkit_ingest.core.encodings import decompress
from django_healthkit_ingest.core.states import Pausable, Status
from django_healthkit_ingest.exceptions import NotFound, Unavailable
from django_healthkit_ingest.models import (
    DeviceToken,
    Export,
    HealthSample,
    ImportBatch,
    ImportChunk,
    RejectedSample,
    SampleSeries,
    Source,
    Statistic,
    SyncState,
    database,
)
from django_healthkit_ingest.pipeline import belongings, export_parts
from django_healthkit_ingest.pipeline import export as export_module
from django_healthkit_ingest.pipeline.belongings import BELONGINGS
from django_healthkit_ingest.pipeline.erase import erase_user, order_erasure
from django_healthkit_ingest.pipeline.export import export, export_user, get_export, open_export, order_export
from django_healthkit_ingest.pipeline.export_lines import INTERNAL, LEFT_OUT
from django_healthkit_ingest.pipeline.revive import Revival, revive_export
from django_healthkit_ingest.pipeline.samples import find_sample
from django_healthkit_ingest.pipeline.sweep import sweep
from django_healthkit_ingest.pipeline.switches import pause, resume
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.factories import (
    ImportBatchFactory,
    ImportChunkFactory,
    RejectedSampleFactory,
)
from django_healthkit_ingest.testing.payloads import quantity
from tests.integration.everything import (
    ECG,
    HEART_RATE,
    give_everything,
    left_of,
    stored_files,
    tables,
    work_off,
)
from tests.integration.test_erase import Blow, Breaker

pytestmark = pytest.mark.django_db(databases="__all__")

Line = dict[str, Any]


@pytest.fixture(autouse=True)
def host(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = str(tmp_path)


@pytest.fixture
def ordered(user: Any, messages: Any, django_capture_on_commit_callbacks: Any) -> Callable[..., Any]:
    def order() -> Any:
        with django_capture_on_commit_callbacks(execute=True, using=database()):
            return order_export(user=user)

    return order


def exports() -> Any:
    return Export.objects.using(database())


def fetch(user: Any, export_id: UUID) -> bytes:
    pieces, size = open_export(user=user, export_id=export_id)
    content = b"".join(pieces)
    assert len(content) == size
    return content


def read(user: Any, export_id: UUID) -> list[Line]:
    return [json.loads(line) for line in gzip.decompress(fetch(user, export_id)).splitlines()]


def of_kind(lines: list[Line], kind: str) -> list[Line]:
    return [line for line in lines if line["kind"] == kind]


def mine(model: Any, user: Any) -> Any:
    return model._default_manager.using(database()).filter(user_id=user.pk)


def instant(text: str | None) -> Any:
    return None if text is None else datetime.fromisoformat(text)


@pytest.mark.parametrize(("rows", "part_bytes"), [(500, 8 * 2**20), (1, 1), (2, 1), (3, 2000)])
def test_every_row_of_the_user_is_one_line(
    user: Any, other_user: Any, monkeypatch: pytest.MonkeyPatch, rows: int, part_bytes: int
) -> None:
    for each in (other_user, user):
        give_everything(each)
    monkeypatch.setattr(export_parts, "ROWS_AT_ONCE", rows)
    monkeypatch.setattr(export_parts, "PART_BYTES", part_bytes)
    had = left_of(user.pk)
    assert set(had) == {model.__name__ for model, _ in tables()}

    status = export_user(user=user)

    lines = read(user, status.id)
    counted = Counter(line["kind"] for line in lines[1:-1])
    models = {belonging.kind: belonging.model.__name__ for belonging in BELONGINGS}
    assert lines[0] == {
        "kind": "header",
        "version": 1,
        "created_at": lines[0]["created_at"],
        "kinds": [belonging.kind for belonging in BELONGINGS],
    }
    assert {models[kind]: number for kind, number in counted.items()} == had | {"Export": had["Export"] + 1}
    assert lines[-1] == {"kind": "end", "counts": dict(status.counts)}
    assert sum(status.counts.values()) == len(lines) - 2
    assert (status.status, status.error_code) == (Status.COMPLETED, None)
    parts = exports().get(uuid=status.id).parts
    assert parts > 10 if part_bytes == 1 else parts >= 1


def test_lines_say_what_the_tables_say(user: Any, other_user: Any) -> None:
    for each in (other_user, user):
        give_everything(each)

    lines = read(user, export_user(user=user).id)

    batches = {row.pk: str(row.uuid) for row in mine(ImportBatch, user)}
    samples = {find_sample(user=user, sample_id=line["id"]).pk: line for line in of_kind(lines, "sample")}
    for row in mine(HealthSample, user).select_related("type", "source"):
        line = samples.pop(row.pk)
        assert line["type"] == row.identifier
        assert line["uuid"] == (str(row.uuid) if row.uuid else None)
        assert (instant(line["start"]), instant(line["end"])) == (row.start, row.end)
        assert line["start"].endswith("Z")
        assert (line["value"], line["unit"], line["category"]) == (row.value, row.unit, row.category)
        assert (line["metadata"], line["details"]) == (row.metadata, row.details)
        assert (line["time_zone"], line["fingerprint"]) == (row.time_zone, str(row.fingerprint))
        assert line["import"] == batches[row.batch_id]
        assert line["source"] == (str(row.source.key) if row.source else None)
    assert not samples
    sources = {line["id"]: line for line in of_kind(lines, "source")}
    for source in mine(Source, user):
        assert sources[str(source.key)]["name"] == source.name
        assert sources[str(source.key)]["device"] == source.device
    statistics = {line["id"]: line for line in of_kind(lines, "statistic")}
    for row in mine(Statistic, user).select_related("type"):
        line = statistics[str(row.key)]
        assert (line["type"], line["aggregation"], line["value"]) == (row.identifier, row.aggregation, row.value)
        assert line["unit"] == row.unit
    (series,), (line,) = mine(SampleSeries, user), of_kind(lines, "series")
    assert (line["sample"], line["name"], line["points"]) == (str(series.sample_key), series.name, series.points)
    assert line["values"] == json.loads(decompress(bytes(series.payload)))
    assert line["sample"] in {each["uuid"] for each in of_kind(lines, "sample") if each["type"] == ECG}
    payloads = {(line["import"], line["index"]): line for line in of_kind(lines, "payload")}
    for chunk in mine(ImportChunk, user):
        line = payloads[batches[chunk.batch_id], chunk.index]
        assert line["records"] == json.loads(decompress(bytes(chunk.payload or b"")))
        assert (line["section"], line["status"], line["received"]) == (chunk.section, chunk.status, chunk.received)
    imports = {line["id"]: line for line in of_kind(lines, "import")}
    for batch in mine(ImportBatch, user):
        line = imports[str(batch.uuid)]
        assert (line["format"], line["device"], line["windows"]) == (batch.format, batch.device, batch.windows)
        assert instant(line["created_at"]) == batch.created_at
    (rejection,) = of_kind(lines, "rejection")
    row = RejectedSample.objects.using(database()).get(chunk__user_id=user.pk)
    assert (rejection["import"], rejection["chunk"]) == (batches[row.chunk.batch_id], row.chunk.index)
    assert (rejection["index"], rejection["code"], rejection["field"]) == (row.index, row.code, row.field)
    states = {(line["device_id"], line["type"]): line["anchor"] for line in of_kind(lines, "sync_state")}
    rows = mine(SyncState, user).values_list("device_id", "type__identifier", "anchor")
    assert states == {(device, name): anchor for device, name, anchor in rows}


def test_every_column_is_told_unless_it_is_known_why_not(user: Any) -> None:
    """A new column is in the file by itself; this names what is left out, so that nobody adds to it by accident."""
    give_everything(user)
    lines = read(user, export_user(user=user).id)

    for belonging in BELONGINGS:
        line = of_kind(lines, belonging.kind)[0]
        columns = {field.attname for field in belonging.model._meta.concrete_fields}
        assert columns - set(line) <= INTERNAL | LEFT_OUT.get(belonging.model, frozenset()), belonging.kind
        assert LEFT_OUT.get(belonging.model, frozenset()) <= columns
    told = json.dumps(lines)
    assert not any(digest in told for digest in mine(DeviceToken, user).values_list("digest", flat=True))


def test_a_raw_payload_of_many_lines_is_one_line(user: Any) -> None:
    ingest(b'{"format": "healthkit", "samples": [\n{"type":\r\n "X",\n "note": "a\\nb"}\n,\n 7]}', user=user)

    (payload,) = of_kind(read(user, export_user(user=user).id), "payload")

    assert payload["records"] == [{"type": "X", "note": "a\nb"}, 7]


@pytest.mark.parametrize("payload", [None, b"damaged"])
def test_a_payload_that_is_gone_is_null(user: Any, payload: bytes | None) -> None:
    ingest(healthkit_body(quantity()), user=user)
    mine(ImportChunk, user).update(payload=payload)

    (line,) = of_kind(read(user, export_user(user=user).id), "payload")

    assert (line["records"], line["received"]) == (None, 1)


def test_samples_of_one_instant_are_all_there(user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them than one slice holds, in two types."""
    monkeypatch.setattr(export_parts, "ROWS_AT_ONCE", 3)
    steps = (quantity("HKQuantityTypeIdentifierStepCount", unit="count", value=each) for each in range(8))
    ingest(healthkit_body(*(quantity(value=60 + each) for each in range(11)), *steps), user=user)

    lines = read(user, export_user(user=user).id)

    assert Counter(line["type"] for line in of_kind(lines, "sample")) == {
        HEART_RATE: 11,
        "HKQuantityTypeIdentifierStepCount": 8,
    }


def test_many_imports_are_read_in_windows(user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(belongings, "IMPORTS_AT_ONCE", 3)
    monkeypatch.setattr(export_parts, "PART_BYTES", 1)
    for _ in range(8):
        ingest(healthkit_body(quantity(), quantity(unit="kg"), deletions=[uuid4()]), user=user)

    lines = read(user, export_user(user=user).id)

    assert len({line["import"] for line in of_kind(lines, "payload")}) == 8
    assert (len(of_kind(lines, "payload")), len(of_kind(lines, "rejection"))) == (16, 8)


def test_chunks_that_were_cut_later_are_found_in_earlier_imports(user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file's chunks are younger than those of bodies that came while it was cut."""
    monkeypatch.setattr(belongings, "IMPORTS_AT_ONCE", 1)
    file, body = (ImportBatchFactory.create(user=user) for _ in range(2))
    for batch in (body, file):
        RejectedSampleFactory.create(chunk=ImportChunkFactory.create(batch=batch))

    lines = read(user, export_user(user=user).id)

    assert [line["import"] for line in of_kind(lines, "rejection")] == [str(file.uuid), str(body.uuid)]


# Parts and workers


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice is a part, and a part is a run."""
    monkeypatch.setattr(export_parts, "PART_BYTES", 1)
    monkeypatch.setattr(export_module, "SHARE_OF_LEASE", 0.0)


def test_each_message_writes_a_part_until_the_file_is_done(
    user: Any, ordered: Callable[..., Any], messages: Any, small: None
) -> None:
    give_everything(user)
    messages.clear()
    status = ordered()
    sizes = []

    while messages:
        (message,) = messages
        assert (message.name, message.lane, message.user_id) == (queues.EXPORT, "BACKFILL", user.pk)
        messages.clear()
        export(export_id=message.ids["export_id"])
        sizes.append(get_export(user=user, export_id=status.id).size)

    assert len(sizes) > 10
    assert sizes == sorted(sizes)
    assert get_export(user=user, export_id=status.id).status is Status.COMPLETED
    assert of_kind(read(user, status.id), "end")


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_a_worker_may_die_between_any_two_statements(
    user: Any, messages: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run gets one statement further than the last, and dies; the file is as if nobody had."""
    settings.HEALTHKIT_INGEST = {"MAX_ATTEMPTS": 1000}
    give_everything(user)
    monkeypatch.setattr(export_parts, "PART_BYTES", 1)
    had = left_of(user.pk)
    before = stored_files()
    order = exports().get(uuid=order_export(user=user).id)

    statements = 0
    while exports().get(pk=order.pk).status != Status.COMPLETED:
        statements += 1
        try:
            with connections[database()].execute_wrapper(Breaker(statements % 200, Blow())):
                export(export_id=order.pk)
        except Blow:
            connections[database()].close_if_unusable_or_obsolete()

    assert statements > 10
    lines = read(user, order.uuid)
    assert len(lines) == sum(had.values()) + 3
    assert len({json.dumps(line, sort_keys=True) for line in lines}) == len(lines)
    exports().filter(pk=order.pk).update(expires_at=timezone.now())
    sweep()
    assert stored_files() == before, "also what the dead ones had written"


def test_a_file_that_died_before_it_was_noted_is_known_by_name(
    user: Any, ordered: Callable[..., Any], messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 between storing a part and counting it."""
    ordered()
    with monkeypatch.context() as patch:
        patch.setattr(export_module, "_append", _die)
        with pytest.raises(Blow):
            export(export_id=exports().get().pk)
    lost = stored_files()

    export(export_id=exports().get().pk)
    both = stored_files()
    exports().update(expires_at=timezone.now())
    with hooks_at_once(monkeypatch):
        swept = sweep()

    assert (len(lost), len(both), stored_files()) == (1, 2, [])
    assert swept.exports_deleted == 1


def _die(*args: Any, **options: Any) -> Any:
    raise Blow


@contextmanager
def hooks_at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As outside of a test's transaction."""
    with monkeypatch.context() as patch:
        patch.setattr(transaction, "on_commit", lambda hook, **options: hook())
        yield


def test_an_export_that_keeps_dying_is_given_up_and_another_can_be_ordered(
    user: Any, ordered: Callable[..., Any], messages: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.HEALTHKIT_INGEST = {"MAX_ATTEMPTS": 3}
    first = ordered()
    with monkeypatch.context() as patch:
        patch.setattr(export_module, "make_part", _die)
        for _ in range(3):
            with pytest.raises(Blow):
                export(export_id=exports().get().pk)
        export(export_id=exports().get().pk)

    status = get_export(user=user, export_id=first.id)
    assert (status.status, status.error_code) == (Status.FAILED, "attempts_exhausted")
    second = ordered()
    assert second.id != first.id
    work_off(messages)
    assert get_export(user=user, export_id=second.id).status is Status.COMPLETED


def test_a_storage_that_is_away_puts_the_export_back(
    user: Any, ordered: Callable[..., Any], messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordered()
    (message,) = messages
    messages.clear()

    def refuse(*args: Any, **options: Any) -> str:
        raise OSError

    with monkeypatch.context() as patch:
        patch.setattr(type(storages["default"]), "save", refuse)
        export(export_id=message.ids["export_id"])

    (again,) = messages
    assert (again.ids, again.delay is not None) == (message.ids, True)
    work_off(messages)
    assert exports().get().status == Status.COMPLETED


def test_a_database_that_is_away_puts_the_export_back(user: Any, ordered: Callable[..., Any], messages: Any) -> None:
    ordered()
    (message,) = messages
    messages.clear()

    class Once:
        broken = False

        def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
            if "healthsample" in sql and not self.broken:
                self.broken = True
                raise OperationalError("gone")
            return execute(sql, params, many, context)

    with connections[database()].execute_wrapper(Once()):
        export(export_id=message.ids["export_id"])

    (again,) = messages
    assert again.delay is not None
    work_off(messages)
    assert exports().get().status == Status.COMPLETED


def test_sweep_sends_what_was_lost_and_deletes_what_expired(
    user: Any, messages: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.HEALTHKIT_INGEST = {"EXPORT_RETENTION": timedelta(days=2)}
    status = order_export(user=user)
    sent = [sweep().exports_sent, sweep().exports_sent]
    work_off(messages)
    done = get_export(user=user, export_id=status.id)
    assert done.expires_at is not None
    assert done.finished_at is not None
    assert done.expires_at - done.finished_at == timedelta(days=2)

    kept = sweep().exports_deleted
    assert read(user, status.id)
    exports().update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(NotFound):
        open_export(user=user, export_id=status.id)
    with hooks_at_once(monkeypatch):
        deleted = [sweep().exports_deleted, sweep().exports_deleted]

    assert (sent, kept, deleted, stored_files()) == ([1, 0], 0, [1, 0], [])
    left = get_export(user=user, export_id=status.id)
    assert (left.status, left.size, left.counts) == (Status.COMPLETED, done.size, done.counts)


def test_nothing_is_written_while_processing_is_paused(user: Any, ordered: Callable[..., Any], messages: Any) -> None:
    ordered()
    pause(Pausable.PROCESSING)
    work_off(messages)
    during = (exports().get().parts, sweep().exports_sent)

    resume(Pausable.PROCESSING)
    after = sweep().exports_sent
    work_off(messages)

    assert (during, after, exports().get().status) == ((0, 0), 1, Status.COMPLETED)


# Whose it is


def test_one_unfinished_export_at_a_time(user: Any, ordered: Callable[..., Any], messages: Any) -> None:
    first, second = ordered(), ordered()
    work_off(messages)
    third = ordered()

    assert first.id == second.id != third.id


def test_an_export_is_its_users(user: Any, other_user: Any, ordered: Callable[..., Any], messages: Any) -> None:
    status = ordered()

    with pytest.raises(NotFound):
        open_export(user=user, export_id=status.id)
    work_off(messages)

    assert fetch(user, status.id)
    for ask in (get_export, open_export):
        for whose, export_id in ((other_user, status.id), (user, uuid4())):
            with pytest.raises(NotFound):
                ask(user=whose, export_id=export_id)


def test_an_erasure_ends_exports_and_none_is_ordered_meanwhile(
    user: Any,
    ordered: Callable[..., Any],
    messages: Any,
    small: None,
    django_capture_on_commit_callbacks: Any,
) -> None:
    give_everything(user)
    messages.clear()
    ordered()
    for _ in range(4):
        export(export_id=messages.popleft().ids["export_id"])
    order_erasure(user_id=user.pk)

    with pytest.raises(Unavailable):
        order_export(user=user)
    with django_capture_on_commit_callbacks(execute=True, using=database()):
        erase_user(user_id=user.pk)
    work_off(messages)

    assert (list(exports().all()), stored_files()) == ([], [])


def test_a_part_that_is_written_while_everything_is_erased_is_deleted(
    user: Any, ordered: Callable[..., Any], messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker has read its rows; the erasure is over; then the worker stores its part."""
    ingest(healthkit_body(quantity()), user=user)
    ordered()
    make = export_parts.make_part

    def overtaken(*args: Any, **options: Any) -> Any:
        part = make(*args, **options)
        erase_user(user_id=user.pk)
        return part

    monkeypatch.setattr(export_module, "make_part", overtaken)
    export(export_id=messages.popleft().ids["export_id"])

    assert (list(exports().all()), stored_files()) == ([], [])


def test_an_export_of_a_user_who_is_gone_ends(user: Any, ordered: Callable[..., Any], messages: Any) -> None:
    ordered()
    type(user)._base_manager.filter(pk=user.pk)._raw_delete(type(user)._base_manager.db)

    work_off(messages)

    row = exports().get()
    assert (row.status, row.error_code, row.position) == (Status.FAILED, "erased", {})
    assert stored_files() == []


def test_a_dead_letter_of_an_export_goes_on_where_it_was(user: Any, ordered: Callable[..., Any], messages: Any) -> None:
    ordered()
    order = exports().get()
    messages.clear()

    outcomes = [revive_export(export_id=order.pk)]
    work_off(messages)
    outcomes += [revive_export(export_id=order.pk), revive_export(export_id=10**9)]

    assert outcomes == [Revival.REPLAYED, Revival.DONE, Revival.GONE]
    assert order.parts == 0
    assert exports().get().parts == 1
