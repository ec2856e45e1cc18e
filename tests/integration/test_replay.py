"""What was received, read again with the code and the sample types of today."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils import timezone

from django_healthkit_ingest import queues
from django_healthkit_ingest.core.states import OUTCOMES, Status
from django_healthkit_ingest.exceptions import PayloadUnavailable
from django_healthkit_ingest.models import HealthSample, ImportBatch, ImportChunk, RejectedSample, Statistic, database
from django_healthkit_ingest.pipeline.accept import accept
from django_healthkit_ingest.pipeline.dispatch import dispatch
from django_healthkit_ingest.pipeline.erase import erase_user
from django_healthkit_ingest.pipeline.process import process
from django_healthkit_ingest.pipeline.replay import Replayed, rehearse_replay, replay
from django_healthkit_ingest.pipeline.status import describe
from django_healthkit_ingest.signals import batch_finished
from django_healthkit_ingest.testing import flutter_body, healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import category, flutter_point, quantity
from tests.integration.test_concurrency import TIMES, run_chunk, together

pytestmark = pytest.mark.django_db(databases="__all__")

HEART_RATE = "HKQuantityTypeIdentifierHeartRate"
MUSIC = "HKQuantityTypeIdentifierMusicLoudness"
KNOWN_MUSIC = {"identifier": MUSIC, "kind": "quantity", "canonical_unit": "dBASPL"}


def work(batch: ImportBatch) -> ImportBatch:
    """What the workers do until nothing is left to do."""
    with queues.captured() as messages:
        dispatch(user_id=batch.user_id, lane=batch.lane)
        while messages:
            message = messages.popleft()
            process(chunk_id=message.ids["chunk_id"], task_id=str(uuid4()))
    batch.refresh_from_db()
    return batch


def samples(user: Any) -> Any:
    return HealthSample.objects.using(database()).for_user(user)


def chunks(batch: ImportBatch) -> Any:
    return ImportChunk.objects.using(database()).filter(batch=batch).order_by("index")


def table(user: Any) -> list[tuple[Any, ...]]:
    fields = ("uuid", "fingerprint", "start", "end", "value", "category", "raw_unit", "metadata", "details", "rank")
    return sorted(samples(user).values_list("type__identifier", "source__name", *fields), key=repr)


def state(batch: ImportBatch) -> tuple[Any, ...]:
    """Of the batch and its chunks, all but the raw records."""
    columns = [field.attname for field in ImportChunk._meta.concrete_fields if field.name != "payload"]
    whole = ImportBatch.objects.using(database()).filter(pk=batch.pk).values().get()
    return whole, list(chunks(batch).values(*columns))


def test_a_replay_of_what_is_there_changes_nothing(user: Any, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 2}
    records = [quantity(), quantity(uuid=None, value=99), quantity(unit="kg"), category(), quantity("HKNew")]
    batch = ingest(healthkit_body(*records, deletions=[uuid4()]), user=user)
    before = table(user)

    replayed = replay(batch=batch)
    work(batch)

    assert replayed == Replayed(batches=1, chunks=4, unfinished=0, purged=0)
    assert table(user) == before
    assert (batch.status, batch.received) == (Status.COMPLETED, 6)
    assert (batch.inserted, batch.duplicate, batch.rejected, batch.deletion) == (0, 4, 1, 1)
    assert RejectedSample.objects.using(database()).filter(chunk__batch=batch).count() == 1


def test_between_replay_and_worker_everything_is_pending(user: Any, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 1}
    batch = ingest(healthkit_body(quantity(), quantity(unit="kg")), user=user)
    fences = list(chunks(batch).values_list("claim_no", flat=True))

    replay(batch=batch)
    batch.refresh_from_db()
    status = describe(batch)

    assert (status.status, status.finished_at, batch.announced_at) == (Status.PROCESSING, None, None)
    assert status.chunks == {"total": 2, "pending": 2, "processing": 0, "completed": 0, "failed": 0}
    assert (status.records["received"], status.records["pending"]) == (2, 2)
    counts = dict(status.records)
    assert counts.pop("received") == sum(map(int, map(str, counts.values())))
    for chunk in chunks(batch):
        assert (chunk.attempts, chunk.sent_count, chunk.claimed_by, chunk.error_code) == (0, 0, "", "")
        assert (chunk.sent_at, chunk.claimed_at, chunk.lease_until, chunk.finished_at) == (None, None, None, None)
    assert list(chunks(batch).values_list("claim_no", flat=True)) == fences


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_it_is_finished_and_announced_again(user: Any, messages: Any) -> None:
    """Also when it is replayed by a receiver of the first announcement, before that is noted."""
    heard: list[tuple[int, int]] = []

    def hear(*, batch: ImportBatch, **kwargs: Any) -> None:
        heard.append((batch.inserted, batch.duplicate))
        if len(heard) == 1:
            replay(batch=batch)

    batch_finished.connect(hear)
    try:
        batch = accept(healthkit_body(quantity()), user=user)
        work(batch)
        work(batch)
    finally:
        batch_finished.disconnect(hear)
    batch.refresh_from_db()

    assert heard == [(1, 0), (0, 1)]
    assert batch.status == Status.COMPLETED
    assert batch.announced_at is not None


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_messages_go_out_after_the_commit(user: Any, settings: Any, messages: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 1, "DISPATCH_WINDOW": 2}
    batch = ingest(healthkit_body(quantity(), quantity(), quantity()), user=user)
    backfill = ingest(healthkit_body(quantity()), user=user, lane="BACKFILL")

    replay(user_id=user.pk)

    waiting = [*chunks(batch)[:2], *chunks(backfill)]
    assert sorted(message.ids["chunk_id"] for message in messages) == [chunk.pk for chunk in waiting]


def test_an_unknown_type_becomes_known(user: Any) -> None:
    """By a row in SAMPLE_TYPES and a replay: it need not arrive again."""
    record = quantity(MUSIC, value=61.5, unit="dBASPL", metadata={"a": 1})
    batch = ingest(healthkit_body(record, quantity()), user=user)
    unknown = samples(user).of_type(MUSIC).get()

    with override_settings(HEALTHKIT_INGEST={"SAMPLE_TYPES": [KNOWN_MUSIC]}):
        replay(identifier=MUSIC)
        work(batch)

        known = samples(user).of_type(MUSIC).get()
        assert (unknown.value, unknown.unit, unknown.details["value"]) == (61.5, "dBASPL", 61.5)
        assert (known.pk, known.uuid, known.value, known.raw_unit) == (unknown.pk, unknown.uuid, 61.5, "")
        assert (known.unit, known.details, known.metadata) == ("dBASPL", None, {"a": 1})
        assert (batch.updated, batch.duplicate, batch.unknown_types) == (1, 1, {})


@pytest.mark.parametrize("value", range(12))
def test_a_reading_that_knows_the_type_wins_whatever_the_content(user: Any, value: int) -> None:
    batch = ingest(healthkit_body(quantity("HKNewRate", value=value, unit="count/s")), user=user)

    with override_settings(
        HEALTHKIT_INGEST={
            "SAMPLE_TYPES": [{"identifier": "HKNewRate", "kind": "quantity", "canonical_unit": "count/min"}]
        }
    ):
        replay(batch=batch)
        work(batch)
        known = samples(user).get()
        late = ingest(
            healthkit_body(quantity("HKNewRate", value=value, unit="count/s", uuid=str(known.uuid))), user=user
        )

    assert (known.value, known.raw_unit, known.details) == (value * 60, "", None)
    assert (late.updated, late.duplicate) == (0, 1)


def test_an_unknown_name_becomes_an_alias(user: Any) -> None:
    record = quantity("acme.loudness", value=61.5, unit="dBASPL")
    batch = ingest(healthkit_body(record), user=user)

    with override_settings(HEALTHKIT_INGEST={"SAMPLE_TYPES": [KNOWN_MUSIC | {"aliases": ["acme.loudness"]}]}):
        assert replay(identifier=MUSIC).batches == 1
        work(batch)

        assert samples(user).get().identifier == MUSIC


def test_an_unknown_statistic_becomes_known(user: Any) -> None:
    value = {"type": MUSIC, "aggregation": "average", "value": 61.5, "unit": "dBASPL"}
    period = {"start": "2026-01-05T08:00:00+01:00", "end": "2026-01-05T09:00:00+01:00"}
    batch = ingest(healthkit_body(statistics=[{**value, **period}]), user=user)
    rows = Statistic.objects.using(database()).for_user(user)
    unknown = rows.get()

    with override_settings(HEALTHKIT_INGEST={"SAMPLE_TYPES": [KNOWN_MUSIC]}):
        replay(identifier=MUSIC)
        work(batch)

    assert unknown.details is not None
    assert (rows.get().pk, rows.get().details, rows.get().value) == (unknown.pk, None, 61.5)


def test_a_rejected_record_is_stored_once_its_type_fits(user: Any) -> None:
    batch = ingest(healthkit_body(quantity(value=2, unit="kg")), user=user)
    assert batch.rejected == 1

    with override_settings(HEALTHKIT_INGEST={"SAMPLE_TYPES": [{"identifier": HEART_RATE, "canonical_unit": "g"}]}):
        assert replay(identifier=HEART_RATE).batches == 1
        work(batch)

    assert (batch.inserted, batch.rejected, samples(user).get().value) == (1, 0, 2000)
    assert not RejectedSample.objects.using(database()).exists()


@pytest.mark.parametrize("value", range(6))
def test_a_type_that_was_known_already_is_overruled(user: Any, value: int) -> None:
    """Two readings of equal rank but for their digests: only the host knows which one it wants."""
    record = quantity(value=value + 1)
    batch = ingest(healthkit_body(record, quantity()), user=user)
    again = ingest(healthkit_body(record), user=user)

    with override_settings(
        HEALTHKIT_INGEST={"SAMPLE_TYPES": [{"identifier": HEART_RATE, "canonical_unit": "count/s"}]}
    ):
        rehearsed = list(rehearse_replay(batch=batch, overrule=True))
        replay(batch=batch, overrule=True)
        work(batch)
        replay(batch=again)
        work(again)

    assert samples(user).get(uuid=record["uuid"]).value == pytest.approx((value + 1) / 60)
    assert [dict(each.counts) for each in rehearsed] == [{"updated": 2}]
    assert (batch.updated, again.updated, again.duplicate) == (2, 0, 1)


def test_a_poorer_format_overrules_nothing(user: Any) -> None:
    uuid = str(uuid4()).upper()
    poorer = ingest(flutter_body(flutter_point(uuid=uuid)), user=user)
    ingest(healthkit_body(quantity(uuid=uuid, value=77)), user=user)

    replay(user_id=user.pk, overrule=True)
    process(chunk_id=chunks(poorer).get().pk, task_id="a")

    assert samples(user).get().value == 77


def test_only_what_failed_is_brought_back(user: Any, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 1}
    batch = ingest(healthkit_body(quantity(), quantity()), user=user)
    good, bad = chunks(batch)
    broken(bad)
    batch.refresh_from_db()
    assert (batch.status, batch.failed) == (Status.FAILED, 1)

    replayed = replay(only_failed=True)
    claims = good.claim_no
    work(batch)

    good.refresh_from_db()
    assert replayed == Replayed(batches=1, chunks=1, unfinished=0, purged=0)
    assert (batch.status, batch.failed, batch.inserted, batch.duplicate) == (Status.COMPLETED, 0, 1, 1)
    assert good.claim_no == claims
    assert replay(only_failed=True) == Replayed(batches=0, chunks=0, unfinished=0, purged=0)


def broken(chunk: ImportChunk) -> None:
    """The chunk FAILED at its last run, and its batch with it."""
    using = database()
    ImportChunk.objects.using(using).filter(pk=chunk.pk).update(status=Status.FAILED, error_code="attempts_exhausted")
    ImportBatch.objects.using(using).filter(pk=chunk.batch_id).update(status=Status.FAILED, failed=chunk.received)


def test_a_batch_that_is_being_worked_on_is_left_alone(user: Any, accepted: Callable[..., ImportBatch]) -> None:
    batch = accepted(healthkit_body(quantity()))
    before = state(batch)

    assert replay(batch=batch) == Replayed(batches=0, chunks=0, unfinished=1, purged=0)
    assert state(batch) == before


def test_replaying_twice_is_replaying_once(user: Any) -> None:
    batch = ingest(healthkit_body(quantity()), user=user)

    replay(batch=batch)

    assert replay(batch=batch) == Replayed(batches=0, chunks=0, unfinished=1, purged=0)
    assert work(batch).status == Status.COMPLETED


def test_purged_payloads_end_it_and_nothing_is_changed(user: Any, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 1}
    kept = ingest(healthkit_body(quantity()), user=user)
    purged = ingest(healthkit_body(quantity(), quantity()), user=user)
    chunks(purged).filter(index=1).update(payload=None)
    before = state(kept), state(purged)

    with pytest.raises(PayloadUnavailable, match="PAYLOAD_RETENTION"):
        replay(user_id=user.pk)
    with pytest.raises(PayloadUnavailable):
        list(rehearse_replay(user_id=user.pk))

    assert (state(kept), state(purged)) == before
    assert replay(user_id=user.pk, skip_purged=True) == Replayed(batches=1, chunks=1, unfinished=0, purged=1)
    assert state(purged) == before[1]


def test_a_replayed_payload_is_not_purged_before_it_is_read(user: Any) -> None:
    batch = ingest(healthkit_body(quantity()), user=user)
    later = timezone.now() + timedelta(days=1)
    replay(batch=batch)

    purged = ImportChunk.objects.using(database()).all().purge_payloads(finished_before=later, limit=10)

    assert purged == []
    assert work(batch).status == Status.COMPLETED


def test_an_erased_user_is_not_replayed(user: Any) -> None:
    batch = ingest(healthkit_body(quantity()), user=user)
    erase_user(user_id=user.pk)

    assert replay(batch=batch) == Replayed(batches=0, chunks=0, unfinished=0, purged=0)
    assert list(rehearse_replay(user_id=user.pk)) == []


def test_it_wants_to_know_what(user: Any) -> None:
    with pytest.raises(ValueError, match="Name a batch"):
        replay()


def test_selections_are_joined(user: Any, other_user: Any) -> None:
    rate = ingest(healthkit_body(quantity()), user=user)
    flow = ingest(healthkit_body(category()), user=user)
    new = quantity("HKNew")
    others = ingest(healthkit_body(quantity(), new), user=other_user)
    again = ingest(healthkit_body(new), user=other_user)

    def found(**selection: Any) -> set[Any]:
        return {each.batch for each in rehearse_replay(**selection)}

    assert found(user_id=user.pk) == {rate.uuid, flow.uuid}
    assert found(identifier=HEART_RATE) == {rate.uuid, others.uuid}
    assert found(identifier="HKNew") == {others.uuid, again.uuid}
    assert found(identifier=HEART_RATE, user_id=user.pk) == {rate.uuid}
    assert found(batch=flow, identifier=HEART_RATE) == set()
    assert found(only_failed=True) == set()
    assert found(identifier="HKNever") == set()


def test_a_rehearsal_says_what_would_change_and_changes_nothing(user: Any, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 2}
    records = [quantity(MUSIC, unit="dBASPL"), quantity(), quantity(unit="kg")]
    batch = ingest(healthkit_body(*records), user=user)
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 2, "SAMPLE_TYPES": [KNOWN_MUSIC]}
    before = state(batch), table(user)

    (rehearsed,) = rehearse_replay(batch=batch)

    assert (rehearsed.batch, rehearsed.chunks) == (batch.uuid, 2)
    assert rehearsed.counts == {"updated": 1, "duplicate": 1, "rejected": 1}
    assert (state(batch), table(user)) == before
    replay(batch=batch)
    work(batch)
    assert {name: getattr(batch, name) for name in rehearsed.counts} == rehearsed.counts


def test_a_rehearsal_counts_what_would_fail(user: Any) -> None:
    batch = ingest(healthkit_body(quantity(), quantity()), user=user)
    chunks(batch).update(payload=b"damaged")

    (rehearsed,) = rehearse_replay(batch=batch)

    assert rehearsed.counts == {"failed": 2}


def settled(batch: ImportBatch) -> ImportBatch:
    """Once the workers are through, the batch's totals are those of its chunks and its rows are there once."""
    chunks(batch).mark_unsent()  # the threads' messages are gone with them
    work(batch)
    books = chunks(batch).books()
    assert batch.status == Status.COMPLETED
    assert books["pending"] == books["failed"] == 0
    assert {name: getattr(batch, name) for name in OUTCOMES} == {name: books[name] for name in OUTCOMES}
    assert HealthSample.objects.using(database()).filter(user_id=batch.user_id).count() == batch.received
    return batch


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_replays_beside_workers_and_each_other(user: Any, settings: Any, messages: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 2}
    batch = ingest(healthkit_body(quantity(), quantity(), quantity(uuid=None, value=99)), user=user)
    for _ in range(TIMES):
        workers = [run_chunk(chunk) for chunk in chunks(batch)]

        told = together(lambda: replay(batch=batch), lambda: replay(user_id=user.pk), *workers, *workers)

        assert told[0].batches + told[1].batches in (1, 2)  # 2: workers were through in between
        settled(batch)


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_a_replay_beside_the_finish(user: Any, messages: Any) -> None:
    for _ in range(TIMES):
        batch = accept(healthkit_body(quantity()), user=user)

        (told, *_) = together(lambda: replay(batch=batch), *(run_chunk(chunk) for chunk in chunks(batch)))  # noqa: B023

        assert told.batches + told.unfinished == 1
        settled(batch)
        HealthSample.objects.using(database()).all().delete()


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_a_replay_beside_an_erasure_brings_nothing_back(user: Any, messages: Any) -> None:
    for _ in range(TIMES):
        batch = ingest(healthkit_body(quantity()), user=user)

        together(
            lambda: replay(user_id=user.pk),
            lambda: list(rehearse_replay(user_id=user.pk)),
            lambda: erase_user(user_id=user.pk),
            *(run_chunk(chunk) for chunk in chunks(batch)),
        )

        assert not ImportBatch.objects.using(database()).exists()
        assert not ImportChunk.objects.using(database()).exists()
        assert not HealthSample.objects.using(database()).exists()


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_a_replay_beside_a_purge_is_refused_or_succeeds(user: Any, messages: Any) -> None:
    def attempt() -> Replayed | None:
        try:
            return replay(batch=batch)
        except PayloadUnavailable:
            return None

    def purge() -> int:
        later = timezone.now() + timedelta(days=1)
        return len(chunks(batch).purge_payloads(finished_before=later, limit=10))

    for _ in range(TIMES):
        batch = ingest(healthkit_body(quantity()), user=user)

        told, purged = together(attempt, purge)

        assert (told is not None) == (purged == 0)
        settled(batch)
        HealthSample.objects.using(database()).all().delete()


def run(capsys: Any, *arguments: str) -> str:
    call_command("healthkit_ingest_replay", *arguments)
    return str(capsys.readouterr().out)


def test_the_command_replays(user: Any, capsys: Any) -> None:
    batch = ingest(healthkit_body(quantity()), user=user)

    dry = run(capsys, "--user", str(user.pk), "--dry-run")
    dry_json = json.loads(run(capsys, "--batch", str(batch.uuid), "--dry-run", "--json"))
    told = json.loads(run(capsys, "--batch", str(batch.uuid), "--json"))
    again = run(capsys, "--type", HEART_RATE)

    assert dry == f"{batch.uuid}: chunks 1: 1 duplicate\n"
    assert dry_json == {"batches": [{"batch": str(batch.uuid), "chunks": 1, "counts": {"duplicate": 1}}]}
    assert told == {"batches": 1, "chunks": 1, "unfinished": 0, "purged": 0}
    assert again == "batches: 0\nchunks: 0\nunfinished: 1\npurged: 0\n"
    assert run(capsys, "--failed", "--dry-run") == "Nothing to replay.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--batch, --user, --type or --failed"),
        (("--batch", str(uuid4())), "no import"),
        (("--user", "not a key"), "primary key"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("healthkit_ingest_replay", *arguments)


def test_the_command_explains_purged_payloads(user: Any, capsys: Any) -> None:
    batch = ingest(healthkit_body(quantity()), user=user)
    chunks(batch).update(payload=None)

    with pytest.raises(CommandError, match=r"payload_unavailable.*only the phone"):
        run(capsys, "--batch", str(batch.uuid))
    assert (
        run(capsys, "--batch", str(batch.uuid), "--skip-purged") == "batches: 0\nchunks: 0\nunfinished: 0\npurged: 1\n"
    )
