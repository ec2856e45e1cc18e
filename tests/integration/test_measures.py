"""What happens is measured, whatever happens; and the read model says what the rows say."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError
from django.utils import timezone

from django_healthkit_ingest.core.states import OUTCOMES, Lane, Pausable, Status
from django_healthkit_ingest.models import HealthSample, ImportBatch, ImportChunk, database
from django_healthkit_ingest.pipeline import complete, measures
from django_healthkit_ingest.pipeline.backlog import backlog, recent
from django_healthkit_ingest.pipeline.dispatch import dispatch
from django_healthkit_ingest.pipeline.process import process
from django_healthkit_ingest.pipeline.sweep import sweep
from django_healthkit_ingest.pipeline.switches import pause
from django_healthkit_ingest.sqs.metrics import METRICS, metric_name
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import quantity

pytestmark = pytest.mark.django_db(databases="__all__")

HOUR = timedelta(hours=1)


class Measured(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def totals(self) -> Counter[str]:
        totals: Counter[str] = Counter()
        for record in self.records:
            totals.update(vars(record)["measures"])
        return totals

    def values(self, name: str) -> list[float]:
        return [found[name] for record in self.records if name in (found := vars(record)["measures"])]


@pytest.fixture
def measured() -> Iterator[Measured]:
    handler = Measured()
    logger = logging.getLogger("django_healthkit_ingest.metrics")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture
def batch(accepted: Callable[..., ImportBatch]) -> ImportBatch:
    return accepted(healthkit_body(quantity()))


def test_a_completed_chunk_is_measured_with_its_outcomes(user: Any, measured: Measured) -> None:
    sample = quantity()
    bad = {**quantity(), "start": "yesterday"}

    batch = ingest(healthkit_body(sample, sample, quantity(), bad), user=user)

    (record,) = measured.records
    found = dict(vars(record)["measures"])
    assert found.pop("chunk_seconds") > 0
    assert found == {"chunks_completed": 1, "samples_inserted": 2, "samples_duplicate": 1, "samples_rejected": 1}
    assert (vars(record)["batch_id"], vars(record)["chunk_id"]) == (batch.pk, batch.chunks.get().pk)


def test_outcomes_have_the_names_clients_know(batch: ImportBatch, measured: Measured) -> None:
    books = dict.fromkeys(OUTCOMES, 1)

    measures.chunk_completed(batch.chunks.get(), seconds=1.0, books=books)

    assert measured.totals["samples_updated"] == measured.totals["samples_superseded"] == 2
    assert measured.totals["samples_deletion"] == measured.totals["samples_statistic"] == 1
    assert not {"samples_adopted", "samples_buried"} & set(measured.totals)


def test_a_transient_error_is_a_retry_when_it_is_tried_again(
    batch: ImportBatch, chunks: Any, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise OperationalError("away")

    with monkeypatch.context() as patched:
        patched.setattr(complete, "merge", refuse)
        process(chunk_id=chunks.get().pk, task_id="a")
    first = dict(measured.totals)
    process(chunk_id=chunks.get().pk, task_id="a")

    assert first == {}
    assert (measured.totals["chunks_retried"], measured.totals["chunks_completed"]) == (1, 1)


def test_failed_chunks_are_counted_once_however_they_fail(batch: ImportBatch, chunks: Any, measured: Measured) -> None:
    chunk = chunks.get()
    failed = []

    ImportBatch.objects.using(database()).update(format="gone")
    process(chunk_id=chunk.pk, task_id="a")  # a permanent error
    failed.append(measured.totals["chunks_failed"])
    chunks.update(status=Status.PENDING, attempts=5)
    process(chunk_id=chunk.pk, task_id="b")  # no attempt left
    failed.append(measured.totals["chunks_failed"])
    chunks.update(status=Status.PROCESSING, attempts=5, lease_until=timezone.now() - HOUR)
    sweep()  # its worker died
    failed.append(measured.totals["chunks_failed"])
    process(chunk_id=chunk.pk, task_id="c")
    sweep()
    failed.append(measured.totals["chunks_failed"])

    assert failed == [1, 2, 3, 3]


def test_every_sweep_says_how_things_are(batch: ImportBatch, chunks: Any, measured: Measured) -> None:
    sweep()
    chunks.update(due_at=timezone.now() - HOUR, sent_at=timezone.now() - HOUR)
    pause(Pausable.INTAKE)
    sweep()

    assert measured.values("sweep_repairs") == [0, 1]
    assert measured.values("oldest_chunk_age") == [pytest.approx(0, abs=60), pytest.approx(3600, abs=60)]
    assert measured.values("intake_paused") == [0, 1]
    assert measured.values("processing_paused") == [0, 0]


def test_whatever_is_measured_is_a_metric_and_whatever_is_a_metric_is_measured(
    batch: ImportBatch, measured: Measured
) -> None:
    chunk = batch.chunks.get()

    measures.chunk_completed(chunk, seconds=1.0, books=dict.fromkeys(OUTCOMES, 1))
    measures.chunk_retried(chunk)
    measures.chunks_failed()
    measures.sweep_done(repairs=0, oldest=HOUR, processing_paused=False, intake_paused=False)
    measures.queue_measured(depth=1, dead_letters=1)

    assert {metric_name(name) for name in measured.totals} == set(METRICS)


def test_nothing_waits_in_an_empty_house() -> None:
    now = backlog()

    assert now.oldest_chunk_age == 0
    assert not any((now.chunks_sent, now.chunks_unsent, now.chunks_processing, now.batches_open, now.paused))
    assert (recent().chunk_seconds, recent().chunks_completed, recent().chunks_failed) == (None, 0, {})


def test_the_backlog_counts_what_waits_and_what_runs(
    accepted: Callable[..., ImportBatch], chunks: Any, settings: Any
) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 1, "DISPATCH_WINDOW": 2}
    batch = accepted(healthkit_body(*(quantity() for _ in range(4))))
    dispatch(user_id=batch.user_id, lane=Lane.LIVE)
    first = chunks.order_by("index").first()
    chunks.filter(pk=first.pk).update(status=Status.PROCESSING, attempts=2)
    chunks.exclude(pk=first.pk).filter(due_at__isnull=False).update(due_at=timezone.now() - HOUR)
    pause(Pausable.PROCESSING)

    now = backlog()

    assert (now.chunks_sent, now.chunks_unsent, now.chunks_processing, now.chunks_retried) == (1, 2, 1, 1)
    assert now.oldest_chunk_age == pytest.approx(3600, abs=60)
    assert (now.batches_open, now.uploads_open, now.paused) == (1, 0, ("processing",))


def test_the_last_hour_is_told_by_outcome_and_code(user: Any) -> None:
    sample = quantity()
    ingest(healthkit_body(sample, quantity()), user=user)
    ingest(healthkit_body(sample), user=user)
    broken = ingest(healthkit_body(quantity()), user=user)
    old = ingest(healthkit_body(quantity()), user=user)
    ImportChunk.objects.using(database()).filter(batch=broken).update(status=Status.FAILED, error_code="unknown_format")
    ImportChunk.objects.using(database()).filter(batch=old).update(finished_at=timezone.now() - 2 * HOUR)

    hour = recent()

    assert hour.chunks_completed == 2
    assert hour.chunks_failed == {"unknown_format": 1}
    assert hour.chunk_seconds is not None
    assert hour.chunk_seconds > 0
    assert {name: number for name, number in hour.samples.items() if number} == {"inserted": 2, "duplicate": 1}
    assert HealthSample.objects.using(database()).count() == 4


def test_status_is_a_table_for_people(batch: ImportBatch, capsys: Any) -> None:
    pause(Pausable.INTAKE)

    call_command("healthkit_ingest_status")

    shown = capsys.readouterr().out
    assert "PAUSED: intake" in shown
    assert [line.split() for line in shown.splitlines() if "chunks unsent" in line] == [["chunks", "unsent", "1"]]


def test_status_is_json_for_programs(batch: ImportBatch, capsys: Any) -> None:
    call_command("healthkit_ingest_status", "--json")

    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"at", "backlog", "last_hour", "queues", "dead_letters", "queue_error"}
    assert told["backlog"]["chunks_unsent"] == 1
    assert (told["queues"], told["dead_letters"], told["queue_error"]) == ({}, None, None)


def test_watching_ends_with_ctrl_c(batch: ImportBatch, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    def interrupt(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)

    call_command("healthkit_ingest_status", "--watch", "5", "--json")

    assert waited == [5.0, 5.0]
    assert len(capsys.readouterr().out.splitlines()) == 2
