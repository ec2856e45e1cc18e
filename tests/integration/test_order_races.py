"""Erasures and exports beside each other and beside everything else: real connections, started together."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.base import ContentFile

from django_healthkit_ingest import queues
from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.exceptions import Unavailable
from django_healthkit_ingest.models import Erasure, Export, database
from django_healthkit_ingest.pipeline import erase as erase_module
from django_healthkit_ingest.pipeline import export_parts
from django_healthkit_ingest.pipeline.accept import accept
from django_healthkit_ingest.pipeline.erase import erase, erase_user, order_erasure
from django_healthkit_ingest.pipeline.export import export, export_user, open_export, order_export
from django_healthkit_ingest.pipeline.split import split
from django_healthkit_ingest.pipeline.sweep_orders import delete_old_exports, resend_erasures, resend_exports
from django_healthkit_ingest.pipeline.upload import accept_upload
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import quantity
from tests.integration.everything import left_of, stored_files, work_off
from tests.integration.test_concurrency import TIMES, chunks_of, run_chunk, together
from tests.line_format import SETTING, lines

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)


@pytest.fixture(autouse=True)
def host(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = str(tmp_path)


def heart_rates(number: int) -> bytes:
    return healthkit_body(*(quantity(value=60 + each % 90) for each in range(number)))


def refused(call: Callable[[], Any]) -> Callable[[], Any]:
    """What may be asked to come back later."""

    def attempt() -> Any:
        try:
            return call()
        except Unavailable:
            return None

    return attempt


def test_workers_at_one_erasure_take_turns_and_count_once(
    user: Any, messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erase_module, "ROWS_AT_ONCE", 7)
    for _ in range(TIMES):
        ingest(heart_rates(40), user=user)
        receipt = order_erasure(user_id=user.pk)
        order = Erasure.objects.using(database()).get(uuid=receipt.id)

        together(*(lambda: erase(erasure_id=order.pk) for _ in range(3)))  # noqa: B023

        order.refresh_from_db()
        assert order.status == Status.COMPLETED
        assert order.counts == {"samples": 40, "imports": 1, "chunks": 1, "sources": 1}


def test_erasing_beside_merges_and_new_bodies_leaves_whole_imports_or_none(
    user: Any, settings: Any, messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was accepted a moment before the order goes as a whole, what comes a moment after it stays as a whole."""
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 5}
    monkeypatch.setattr(erase_module, "ROWS_AT_ONCE", 8)

    def send() -> None:
        for chunk in chunks_of(accept(heart_rates(10), user=user)):
            run_chunk(chunk)()

    for _ in range(TIMES):
        batch = accept(heart_rates(20), user=user)

        together(*map(run_chunk, chunks_of(batch)), refused(send), lambda: erase_user(user_id=user.pk))

        left = left_of(user.pk)
        assert left.get("HealthSample", 0) in (0, 10)
        assert left.get("ImportChunk", 0) == left.get("HealthSample", 0) / 5
        assert left.get("ImportBatch", 0) == left.get("ImportChunk", 0) / 2
        erase_user(user_id=user.pk)
        assert set(left_of(user.pk)) == {"Erasure"}


def test_erasing_beside_a_file_that_is_being_cut_leaves_nothing(user: Any, settings: Any, messages: Any) -> None:
    settings.HEALTHKIT_INGEST = SETTING
    for _ in range(TIMES):
        batch = accept_upload(ContentFile(lines(9)), user=user)
        upload_id = batch.upload.pk

        together(
            lambda: split(upload_id=upload_id, task_id=str(uuid4())),  # noqa: B023
            lambda: erase_user(user_id=user.pk),
        )

        assert set(left_of(user.pk)) == {"Erasure"}
        assert stored_files() == []


def test_one_order_is_made_however_many_ask_at_once(user: Any, messages: Any) -> None:
    for _ in range(TIMES):
        receipts = together(*(lambda: order_erasure(user_id=user.pk) for _ in range(4)))
        assert len({receipt.id for receipt in receipts}) == 1
        erase_user(user_id=user.pk)

        exports = together(*(lambda: order_export(user=user) for _ in range(4)))
        assert len({each.id for each in exports}) == 1
        export_user(user=user)


def test_workers_at_one_export_write_one_file(user: Any, messages: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_parts, "PART_BYTES", 1)
    monkeypatch.setattr(export_parts, "ROWS_AT_ONCE", 5)
    ingest(heart_rates(30), user=user)
    for _ in range(TIMES):
        order = Export.objects.using(database()).get(uuid=order_export(user=user).id)

        together(*(lambda: export(export_id=order.pk) for _ in range(3)))  # noqa: B023
        while Export.objects.using(database()).get(pk=order.pk).status != Status.COMPLETED:
            export(export_id=order.pk)

        order.refresh_from_db()
        pieces, size = open_export(user=user, export_id=order.uuid)
        content = b"".join(pieces)
        written = [json.loads(line) for line in gzip.decompress(content).splitlines()]
        samples = [line["uuid"] for line in written if line["kind"] == "sample"]
        assert (len(content), len(samples), len(set(samples))) == (size, 30, 30)
        assert len(stored_files()) == order.parts
        Export.objects.using(database()).filter(pk=order.pk).update(expires_at=order.created_at)
        assert delete_old_exports() == 1
        assert stored_files() == []


def test_erasing_beside_an_export_leaves_neither_row_nor_file(
    user: Any, messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_parts, "PART_BYTES", 1)
    monkeypatch.setattr(export_parts, "ROWS_AT_ONCE", 2)
    for _ in range(TIMES):
        ingest(heart_rates(20), user=user)
        order = Export.objects.using(database()).get(uuid=order_export(user=user).id)

        together(
            lambda: export(export_id=order.pk),  # noqa: B023
            refused(lambda: order_export(user=user)),
            lambda: erase_user(user_id=user.pk),
        )

        erase_user(user_id=user.pk)  # an export that was ordered a moment later
        assert set(left_of(user.pk)) == {"Erasure"}
        assert stored_files() == []


def test_sweeps_at_once_send_no_more_than_one(user: Any, messages: Any) -> None:
    for _ in range(TIMES):
        order_export(user=user)
        order_erasure(user_id=user.pk)
        Erasure.objects.using(database()).update(sent_at=None)
        Export.objects.using(database()).update(sent_at=None)

        sent = together(*[resend_erasures] * 3, *[resend_exports] * 3)

        assert (sum(sent[:3]), sum(sent[3:])) == (1, 1)
        messages.clear()
        erase_user(user_id=user.pk)


def test_an_order_that_waits_for_its_message_is_worked_off(user: Any, messages: Any) -> None:
    ingest(heart_rates(3), user=user)
    order_export(user=user)
    order_erasure(user_id=user.pk)

    work_off(messages)

    assert set(left_of(user.pk)) == {"Erasure"}
    assert {message.name for message in messages} <= {queues.ERASE, queues.EXPORT}
