"""A record that kills its worker is found, set aside with a reason, and released again; the rest goes in."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import HealthSample, ImportBatch, RejectedSample, database
from django_healthkit_ingest.pipeline import bisect as module
from django_healthkit_ingest.pipeline.bisect import MOST, Examined, NotTheRecords, bisect, find_poison
from django_healthkit_ingest.pipeline.finish import finish
from django_healthkit_ingest.pipeline.process import process
from django_healthkit_ingest.pipeline.replay import replay
from django_healthkit_ingest.pipeline.trial import Outcome
from django_healthkit_ingest.testing import healthkit_body
from tests import poison
from tests.poison import HANGS, KILLS, RAISES
from tests.settings_poisonous import HEALTHKIT_INGEST

committed = pytest.mark.django_db(databases="__all__", transaction=True)
"""The child sees nothing else."""


@pytest.fixture(autouse=True)
def poisonous(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.HEALTHKIT_INGEST = HEALTHKIT_INGEST
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.settings_poisonous")


@pytest.fixture
def died(accepted: Callable[..., ImportBatch], chunks: Any, settings: Any) -> Callable[..., ImportBatch]:
    """A batch whose chunks are FAILED because their attempts are exhausted."""

    def die(records: list[Any], *, chunk_size: int = 1000) -> ImportBatch:
        settings.HEALTHKIT_INGEST = {**HEALTHKIT_INGEST, "CHUNK_SIZE": chunk_size}
        batch = accepted(healthkit_body(*records))
        chunks.filter(batch=batch).update(attempts=5, claim_no=5, claimed_by="dead")
        work(batch)
        assert batch.status == Status.FAILED
        return batch

    return die


def work(batch: ImportBatch) -> None:
    """What the workers do until nothing is left to do."""
    for chunk_id in batch.chunks.unfinished().values_list("pk", flat=True):
        process(chunk_id=chunk_id, task_id="a")
    batch.refresh_from_db()


def rejections(batch: ImportBatch) -> list[tuple[Any, ...]]:
    rows = RejectedSample.objects.using(database()).filter(chunk__batch=batch).order_by("chunk__index", "index")
    return list(rows.values_list("chunk__index", "index", "field", "code"))


class Chunk:
    """One that some of its records kill, alone or together."""

    def __init__(self, size: int, *killers: Collection[int], busy: int = 0) -> None:
        self.records = range(100, 100 + size)
        self.killers = [set(killer) for killer in killers]
        self.busy = busy

    def run(self, left_out: Collection[int]) -> Outcome:
        if self.busy:
            self.busy -= 1
            return Outcome.BUSY
        kept = set(self.records).difference(left_out)
        return Outcome.BROKEN if any(killer <= kept for killer in self.killers) else Outcome.SOUND


@given(size=st.integers(1, 80), data=st.data())
def test_what_is_left_runs_and_nothing_is_left_out_for_nothing(size: int, data: st.DataObject) -> None:
    places = st.sets(st.integers(100, 99 + size), min_size=1, max_size=2)
    chunk = Chunk(size, *data.draw(st.lists(places, max_size=3)))

    found = find_poison(chunk.records, known=(), run=chunk.run)

    assert chunk.run(found) is Outcome.SOUND
    for index in found:
        assert chunk.run(set(found) - {index}) is Outcome.BROKEN


def test_what_was_set_aside_before_stays_so() -> None:
    chunk = Chunk(10, {107})

    assert find_poison(chunk.records, known=(103,), run=chunk.run) == (103, 107)


def test_a_chunk_that_dies_of_nothing_in_particular_has_no_poison() -> None:
    too_heavy, always = Chunk(200, *({index} for index in range(100, 101 + MOST))), Chunk(10, set())

    for chunk in (too_heavy, always):
        with pytest.raises(NotTheRecords):
            find_poison(chunk.records, known=(), run=chunk.run)


def test_a_busy_database_accuses_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSES", (0.0, 0.0))
    now_and_then, away = Chunk(10, busy=2), Chunk(10, busy=1000)

    assert find_poison(now_and_then.records, known=(), run=now_and_then.run) == ()
    with pytest.raises(NotTheRecords):
        find_poison(away.records, known=(), run=away.run)


@committed
def test_the_poison_is_set_aside_and_the_rest_goes_in(died: Callable[..., ImportBatch], user: Any) -> None:
    records = poison.records(5, at_4=KILLS)
    records[3]["unit"] = "kg"
    batch = died(records, chunk_size=3)
    out = StringIO()

    call_command("healthkit_ingest_replay", "--failed", "--bisect", stdout=out)
    work(batch)

    assert out.getvalue().splitlines() == [
        f"{batch.uuid}: chunk 0: it runs as it is, and is tried again",
        f"{batch.uuid}: chunk 1: 1 of 2 samples set aside (4), the rest is tried again",
    ]
    assert (batch.status, batch.received, batch.inserted, batch.rejected) == (Status.COMPLETED, 5, 3, 2)
    assert rejections(batch) == [(1, 3, "unit", "unit_mismatch"), (1, 4, "", "poison")]
    assert HealthSample.objects.using(database()).for_user(user).count() == 3


@committed
def test_a_later_replay_keeps_it_aside_until_it_is_released(
    accepted: Callable[..., ImportBatch], chunks: Any, settings: Any
) -> None:
    batch = accepted(healthkit_body(*poison.records(4, at_2=KILLS)))
    chunks.filter(batch=batch).update(set_aside=[2])
    work(batch)
    first = (batch.status, batch.inserted, batch.rejected)
    replay(batch=batch)
    work(batch)
    again = (batch.status, batch.duplicate, batch.rejected)

    settings.HEALTHKIT_INGEST = {}  # mended
    call_command("healthkit_ingest_replay", "--batch", str(batch.uuid), "--include-set-aside", stdout=StringIO())
    work(batch)

    assert (first, again) == ((Status.COMPLETED, 3, 1), (Status.COMPLETED, 3, 1))
    assert (batch.status, batch.inserted, batch.duplicate, batch.rejected) == (Status.COMPLETED, 1, 3, 0)
    assert rejections(batch) == []


@committed
def test_where_the_child_cannot_start_nothing_is_set_aside(
    died: Callable[..., ImportBatch], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.no_such_settings")
    batch = died(poison.records(4))

    examined = list(bisect(batch=batch))

    batch.refresh_from_db()
    assert examined == [Examined(batch=batch.uuid, chunk=0, section="samples", received=4, set_aside=None)]
    assert (batch.status, batch.chunks.get().set_aside) == (Status.FAILED, None)
    assert "no_such_settings" in capfd.readouterr().err, "the operator is told what is wrong"


@pytest.mark.acceptance
@committed
def test_records_that_raise_or_never_end_are_poison_too(
    died: Callable[..., ImportBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "lease", lambda: timedelta(seconds=3))
    batch = died(poison.records(4, at_1=RAISES, at_3=HANGS))
    out = StringIO()

    call_command("healthkit_ingest_replay", "--batch", str(batch.uuid), "--bisect", "--json", stdout=out)
    work(batch)

    (examined,) = json.loads(out.getvalue())["chunks"]
    assert (examined["received"], examined["set_aside"]) == (4, [1, 3])
    assert (batch.status, batch.inserted, batch.rejected) == (Status.COMPLETED, 2, 2)


@committed
def test_a_chunk_that_was_run_meanwhile_is_left_as_it_is(
    died: Callable[..., ImportBatch], chunks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = died(poison.records(2))

    def overtaken(*args: Any, **kwargs: Any) -> tuple[int, ...]:
        chunks.filter(batch=batch).update(claim_no=6)
        return (0,)

    monkeypatch.setattr(module, "_examine", overtaken)

    examined = list(bisect(batch=batch))

    batch.refresh_from_db()
    assert len(examined) == 1
    assert (batch.status, batch.chunks.get().set_aside) == (Status.FAILED, None)


@pytest.mark.django_db(databases="__all__")
def test_other_failures_are_left_alone(accepted: Callable[..., ImportBatch], chunks: Any) -> None:
    batch = accepted(healthkit_body(*poison.records(2)))
    chunks.filter(batch=batch).update(status=Status.PROCESSING, claim_no=1)
    chunks.filter(batch=batch).fail(claim_no=1, now=batch.created_at, code="unknown_format")
    finish(batch_id=batch.pk)

    assert list(bisect(only_failed=True)) == []
    assert chunks.get().status == Status.FAILED


@pytest.mark.parametrize(
    "options", [["--bisect", "--dry-run"], ["--include-set-aside", "--dry-run"], ["--bisect", "--include-set-aside"]]
)
def test_options_that_contradict_each_other_are_refused(options: list[str]) -> None:
    with pytest.raises(CommandError, match="do not go together"):
        call_command("healthkit_ingest_replay", "--failed", *options)
