"""What a user has switched off is not stored, is counted, and is gone from what was received."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_healthkit_ingest.core.encodings import compress, decompress
from django_healthkit_ingest.core.registry import shipped_registry
from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.core.type_names import mentions, names_of
from django_healthkit_ingest.models import (
    Consent,
    HealthSample,
    ImportBatch,
    ImportChunk,
    RejectedSample,
    Source,
    Statistic,
    SyncState,
    TypeIdentifier,
    database,
)
from django_healthkit_ingest.pipeline.accept import accept
from django_healthkit_ingest.pipeline.bisect import bisect
from django_healthkit_ingest.pipeline.process import process
from django_healthkit_ingest.pipeline.replay import rehearse_replay, replay
from django_healthkit_ingest.pipeline.status import describe
from django_healthkit_ingest.pipeline.store.locks import Scope, lock_user
from django_healthkit_ingest.signals import samples_changed
from django_healthkit_ingest.testing import flutter_body, healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import category, correlation, flutter_point, quantity, statistic
from tests.integration.test_concurrency import TIMES, run_chunk, together
from tests.integration.test_health_auto_export import EIGHT
from tests.integration.test_health_auto_export import body as health_auto_export
from tests.integration.test_windows import DEVICE, at, count, sync, uuids, window
from tests.poison import KILLS
from tests.unit.formats.examples import DIALECTS, HISTORY

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

MARK = "zqxsecret"
FLOW = "HKCategoryTypeIdentifierMenstrualFlow"
RATE = "HKQuantityTypeIdentifierHeartRate"
SLEEP = "HKCategoryTypeIdentifierSleepAnalysis"
PRESSURE = "HKCorrelationTypeIdentifierBloodPressure"
SYSTOLIC = "HKQuantityTypeIdentifierBloodPressureSystolic"
DIASTOLIC = "HKQuantityTypeIdentifierBloodPressureDiastolic"
MARKED: dict[str, Any] = {"metadata": {"note": MARK}}


def switch(user: Any, *identifiers: str, allowed: bool = False) -> None:
    for identifier in identifiers:
        Consent.objects.using(database()).update_or_create(
            user_id=user.pk, identifier=identifier, defaults={"allowed": allowed, "changed_at": timezone.now()}
        )


def payloads(batch: ImportBatch) -> bytes:
    return b"\n".join(map(payload, batch.chunks.order_by("index")))


def payload(chunk: ImportChunk) -> bytes:
    assert chunk.payload is not None
    return decompress(chunk.payload)


def is_balanced(batch: ImportBatch) -> bool:
    records = describe(batch).records
    return records["received"] == sum(number for name, number in records.items() if name != "received")  # type: ignore[misc]


def work(batch: ImportBatch) -> None:
    for chunk_id in batch.chunks.unfinished().order_by("index").values_list("pk", flat=True):
        process(chunk_id=chunk_id, task_id=str(uuid4()))
    batch.refresh_from_db()


def pressure(*, identifier: str = PRESSURE, **fields: Any) -> dict[str, Any]:
    members = [quantity(name, unit="mmHg", value=value) for name, value in ((SYSTOLIC, 120), (DIASTOLIC, 80))]
    return correlation(*members, identifier=identifier, **fields)


@pytest.mark.parametrize(
    ("withheld", "record", "section"),
    [
        (FLOW, category(**MARKED), "samples"),
        (FLOW, category(uuid=None, **MARKED), "samples"),
        (PRESSURE, pressure(**MARKED), "samples"),
        (SYSTOLIC, pressure(**MARKED), "samples"),
        ("HKQuantityTypeIdentifierStepCount", statistic(source={"name": MARK}), "statistics"),
        ("com.acme.mood", quantity("com.acme.mood", **MARKED), "samples"),
        ("HKElectrocardiogram", quantity("HKElectrocardiogramType", **MARKED), "samples"),
        (FLOW, category() | {"category": MARK}, "samples"),
        ("com.acme.mood", quantity("com.acme.mood", start=MARK), "samples"),
        (FLOW, [FLOW, MARK], "samples"),
    ],
    ids=["uuid", "no uuid", "correlation", "member", "statistic", "unknown", "alias", "unreadable",
         "unknown and unreadable", "no object"],
)  # fmt: skip
def test_a_record_of_a_type_that_is_switched_off_leaves_no_trace(
    user: Any, withheld: str, record: Any, section: str
) -> None:
    switch(user, withheld)
    others = [quantity(), quantity(unit="kg")]
    samples = [others[0], record, others[1]] if section == "samples" else others
    statistics = [record, statistic("HKQuantityTypeIdentifierFlightsClimbed")] if section == "statistics" else []

    batch = ingest(healthkit_body(*samples, statistics=statistics), user=user)

    assert (batch.status, batch.withheld, batch.inserted, batch.rejected) == (Status.COMPLETED, 1, 1, 1)
    assert (batch.statistic, batch.unknown_types) == (len(statistics) - 1 if statistics else 0, {})
    assert is_balanced(batch)
    assert describe(batch).records["withheld"] == 1
    assert MARK.encode() not in payloads(batch)
    assert [row.identifier for row in HealthSample.objects.using(database()).for_user(user)] == [RATE]
    assert Statistic.objects.using(database()).for_user(user).count() == batch.statistic
    rejected = RejectedSample.objects.using(database()).get(chunk__batch=batch)
    assert (rejected.index, rejected.code) == (len(samples) - 1, "unit_mismatch")
    assert not Source.objects.using(database()).filter(user_id=user.pk, name=MARK).exists()
    assert not TypeIdentifier.objects.using(database()).filter(identifier=withheld).exists()


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect(user: Any, name: str) -> None:
    switch(user, SLEEP)
    dialect = DIALECTS[name]

    batch = ingest(dialect.body(), user=user, format=dialect.format, time_zone=dialect.time_zone)

    assert (batch.status, batch.withheld, batch.inserted) == (Status.COMPLETED, 1, len(HISTORY) - 1)
    assert is_balanced(batch)
    names = names_of(SLEEP, format=dialect.format, registry=shipped_registry())
    assert not mentions(payloads(batch), names)


def test_a_point_of_flutter_with_a_name_of_its_own(user: Any) -> None:
    switch(user, "MENSTRUATION_FLOW")
    flow = {"__type": "MenstruationFlowHealthValue", "flow": "heavy", "isStartOfCycle": True}

    batch = ingest(flutter_body(flutter_point("MENSTRUATION_FLOW", sourceName=MARK) | {"value": flow}), user=user)

    assert (batch.received, batch.withheld) == (1, 1)
    assert MARK.encode() not in payloads(batch)


def test_a_record_of_several_statistics_goes_as_a_whole(user: Any) -> None:
    switch(user, DIASTOLIC)
    point = {"date": EIGHT, "systolic": 120, "diastolic": 80, "source": MARK}
    steps = {"date": EIGHT, "qty": 300}

    batch = ingest(
        health_auto_export(
            metrics=[
                {"name": "blood_pressure", "units": "mmHg", "data": [point]},
                {"name": "step_count", "units": "count", "data": [steps]},
            ],
            cycleTracking=[{"name": "Menstrual Flow", "value": "Heavy", "start": EIGHT, "end": EIGHT}],
        ),
        user=user,
    )

    assert (batch.received, batch.withheld, batch.statistic, batch.inserted) == (3, 1, 1, 1)
    assert MARK.encode() not in payloads(batch)


def test_an_export_of_apple(user: Any) -> None:
    switch(user, SLEEP)
    dates = 'startDate="2026-01-05 08:00:00 +0100" endDate="2026-01-05 08:00:00 +0100"'
    records = [
        f'<Record type="{SLEEP}" sourceName="{MARK}" value="HKCategoryValueSleepAnalysisAsleepREM" {dates}/>',
        f'<Record type="{RATE}" sourceName="Watch" unit="count/min" value="61" {dates}/>',
    ]
    export = f'<?xml version="1.0" encoding="UTF-8"?><HealthData locale="de_DE">{"".join(records)}</HealthData>'

    batch = ingest(export.encode(), user=user, format="apple_export")

    assert (batch.received, batch.withheld, batch.inserted) == (2, 1, 1)
    assert MARK.encode() not in payloads(batch)


def test_others_and_deletions_are_not_touched(user: Any, other_user: Any) -> None:
    flow = category()
    ingest(healthkit_body(flow), user=user)
    switch(user, FLOW)

    others = ingest(healthkit_body(flow), user=other_user)
    batch = ingest(healthkit_body(deletions=[flow["uuid"]]), user=user)

    assert (others.withheld, others.inserted) == (0, 1)
    assert (batch.withheld, batch.deletion, batch.rows_removed) == (0, 1, 1)


def test_a_type_that_is_allowed_again_is_stored(user: Any) -> None:
    switch(user, FLOW)
    switch(user, FLOW, allowed=True)

    batch = ingest(healthkit_body(category()), user=user)

    assert (batch.withheld, batch.inserted) == (0, 1)


def test_what_was_stored_before_stays_unless_it_is_erased(user: Any) -> None:
    flow = category()
    ingest(healthkit_body(flow), user=user)
    switch(user, FLOW)

    batch = ingest(healthkit_body({**flow, "category": 2}), user=user)

    assert (batch.withheld, batch.updated, count(user)) == (1, 0, 1)


def test_a_client_that_sends_a_blank_only_fools_itself(user: Any) -> None:
    batch = ingest(healthkit_body({"healthkit_ingest": "withheld"}, quantity()), user=user)

    assert (batch.withheld, batch.inserted, batch.rejected) == (1, 1, 0)


def test_nobody_hears_of_what_was_withheld(user: Any, django_capture_on_commit_callbacks: Any) -> None:
    switch(user, FLOW)
    heard: list[Any] = []

    def hear(signal: Any, sender: Any, **arguments: Any) -> None:
        heard.append((arguments["identifiers"], arguments["inserted"]))

    samples_changed.connect(hear)
    try:
        ingest(healthkit_body(category(), quantity()), user=user)
        ingest(healthkit_body(category()), user=user)
    finally:
        samples_changed.disconnect(hear)

    assert heard == [(frozenset({RATE}), 1)]


# Again and again


def test_what_was_withheld_stays_so_whatever_is_allowed_later(user: Any, messages: Any) -> None:
    """Nothing is left that could be stored; only the phone can send it again."""
    switch(user, FLOW)
    batch = ingest(healthkit_body(quantity(), category(), quantity(unit="kg")), user=user)
    before = payloads(batch)
    switch(user, FLOW, allowed=True)
    (rehearsed,) = rehearse_replay(batch=batch)

    replay(batch=batch)
    work(batch)

    assert rehearsed.counts == {"withheld": 1, "duplicate": 1, "rejected": 1}
    assert (batch.status, batch.withheld, batch.duplicate, batch.rejected) == (Status.COMPLETED, 1, 1, 1)
    assert payloads(batch) == before
    assert RejectedSample.objects.using(database()).get(chunk__batch=batch).index == 2


def test_a_replay_withholds_what_has_been_switched_off_since(user: Any, messages: Any) -> None:
    batch = ingest(healthkit_body(category(**MARKED), quantity(), category() | {"category": MARK}), user=user)
    switch(user, FLOW)
    (rehearsed,) = rehearse_replay(batch=batch)
    assert MARK.encode() in payloads(batch)

    replay(batch=batch)
    work(batch)

    assert rehearsed.counts == {"withheld": 2, "duplicate": 1}
    assert (batch.withheld, batch.duplicate, batch.rejected) == (2, 1, 0)
    assert MARK.encode() not in payloads(batch)
    assert not RejectedSample.objects.using(database()).filter(chunk__batch=batch).exists()


def test_records_without_uuid_are_counted_as_before(user: Any, settings: Any, messages: Any) -> None:
    """The chunks of a batch are counted together, so one is read for the other, blanks and all."""
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 2}
    meal = quantity(uuid=None)
    switch(user, FLOW)
    batch = ingest(healthkit_body(meal, category(uuid=None), meal, category(uuid=None)), user=user)

    replay(batch=batch)
    work(batch)

    assert (batch.withheld, batch.duplicate, count(user)) == (2, 2, 2)


def test_other_chunks_are_read_without_what_is_withheld_by_now(user: Any, settings: Any, messages: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 2}
    meal, mood = quantity(uuid=None), quantity("com.acme.mood", uuid=None, source={"name": MARK})
    batch = accept(healthkit_body(meal, mood, meal, quantity()), user=user)
    first, second = batch.chunks.order_by("index")
    process(chunk_id=first.pk, task_id="a")
    Source.objects.using(database()).filter(user_id=user.pk, name=MARK).delete()
    switch(user, "com.acme.mood")

    process(chunk_id=second.pk, task_id="b")

    assert not Source.objects.using(database()).filter(user_id=user.pk, name=MARK).exists()


def test_a_record_that_was_set_aside_is_blanked_where_it_lies(user: Any, settings: Any, messages: Any) -> None:
    settings.HEALTHKIT_INGEST = {"FORMATS": ["tests.poison.PoisonousFormat"]}
    switch(user, FLOW)
    batch = accept(healthkit_body(quantity(), category(value=KILLS, **MARKED), quantity(value=KILLS)), user=user)
    batch.chunks.update(set_aside=[1, 2])

    work(batch)

    assert (batch.inserted, batch.withheld, batch.rejected) == (1, 1, 1)
    assert MARK.encode() not in payloads(batch)
    rejected = RejectedSample.objects.using(database()).get(chunk__batch=batch)
    assert (rejected.index, rejected.code) == (2, "poison")
    replay(batch=batch)
    work(batch)
    assert (batch.duplicate, batch.withheld, batch.rejected) == (1, 1, 1)


def test_poison_is_found_beside_blanks(user: Any, settings: Any, messages: Any, monkeypatch: Any) -> None:
    settings.HEALTHKIT_INGEST = {"FORMATS": ["tests.poison.PoisonousFormat"]}
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.settings_poisonous")
    switch(user, FLOW)
    batch = ingest(healthkit_body(quantity(), category(), quantity(), category()), user=user)
    chunk = batch.chunks.get()
    poisoned = payload(chunk).replace(b'"value":61', b'"value":%d' % KILLS, 1)
    batch.chunks.update(payload=compress(poisoned), status=Status.FAILED, error_code="attempts_exhausted")
    ImportBatch.objects.using(database()).filter(pk=batch.pk).update(status=Status.FAILED)

    (examined,) = bisect(batch=batch)
    work(batch)

    assert examined.set_aside == (0,)
    assert (batch.status, batch.withheld, batch.rejected, batch.duplicate) == (Status.COMPLETED, 2, 1, 1)


# Windows and anchors


def test_a_window_removes_nothing_of_a_type_that_is_withheld(user: Any) -> None:
    flow, rate = category(start="2026-01-05T08:00:00Z"), at("08:00:00")
    sync(user, flow, rate)
    switch(user, FLOW)

    batch = sync(user, category(start="2026-01-05T09:00:00Z"), windows=[window(FLOW, RATE), window(FLOW)])

    assert (batch.withheld, batch.rows_reconciled, batch.warnings) == (1, 1, [])
    assert uuids(user) == {flow["uuid"]}
    assert batch.reconciled_at is not None


def test_nor_of_one_that_was_withheld_when_its_records_came(user: Any, messages: Any) -> None:
    flow = category(start="2026-01-05T08:00:00Z")
    sync(user, flow)
    switch(user, FLOW)
    settings = {"windows": [window(FLOW, RATE)], "device": DEVICE}
    batch = accept(healthkit_body(flow, deletions=[uuid4()], **settings), user=user)
    first, second = batch.chunks.order_by("index")
    process(chunk_id=first.pk, task_id="a")

    switch(user, FLOW, allowed=True)
    process(chunk_id=second.pk, task_id="b")

    batch.refresh_from_db()
    assert (batch.status, batch.withheld, uuids(user)) == (Status.COMPLETED, 1, {flow["uuid"]})


@pytest.mark.parametrize("record", [pressure(start="2026-01-05T08:00:00Z"), at("08:00:00", metadata=SYSTOLIC)])
def test_a_record_that_took_other_types_along_stops_the_window(user: Any, record: dict[str, Any]) -> None:
    """Its diastolic half looks absent and is not."""
    stored = at("08:00:00", identifier=DIASTOLIC, unit="mmHg")
    sync(user, stored)
    switch(user, SYSTOLIC)

    batch = sync(user, record, windows=[window(DIASTOLIC)])

    assert (batch.withheld, batch.warnings) == (1, ["window_not_reconciled"])
    assert uuids(user) == {stored["uuid"]}


def test_a_blank_nobody_can_explain_stops_the_window(user: Any) -> None:
    rate = at("08:00:00")
    sync(user, rate)

    batch = sync(user, {"healthkit_ingest": "withheld"}, windows=[window()])

    assert (batch.warnings, uuids(user)) == (["window_not_reconciled"], {rate["uuid"]})


def test_an_anchor_of_a_type_that_is_withheld_is_released(user: Any) -> None:
    switch(user, FLOW)

    batch = sync(user, category(), anchors={FLOW: "YW5jaG9y"})

    state = SyncState.objects.using(database()).get(user_id=user.pk)
    assert (batch.withheld, state.anchor, state.type.identifier) == (1, "YW5jaG9y", FLOW)


# The host's word


asked: list[Any] = []
switched_off: set[Any] = set()


def host_says(user_id: Any) -> set[str]:
    asked.append(user_id)
    return {"MENSTRUATION_FLOW", "HKElectrocardiogram"} if user_id in switched_off else set()


def host_says_nonsense(user_id: Any) -> str:
    return FLOW


@pytest.fixture
def host(settings: Any) -> Iterator[Callable[..., None]]:
    def decide(*users: Any) -> None:
        switched_off.clear()
        switched_off.update(user.pk for user in users)

    settings.HEALTHKIT_INGEST = {"CONSENT": f"{__name__}.host_says"}
    asked.clear()
    yield decide
    switched_off.clear()


def test_the_host_decides_and_our_table_is_not_asked(user: Any, other_user: Any, host: Callable[..., None]) -> None:
    host(user)
    switch(user, RATE)
    records = [category(**MARKED), quantity("HKElectrocardiogramType"), quantity()]

    batch = ingest(healthkit_body(*records, deletions=[uuid4()]), user=user)

    assert (batch.withheld, batch.inserted, batch.deletion) == (2, 1, 1)
    assert MARK.encode() not in payloads(batch)
    assert asked == [user.pk], "once for each chunk that has types"
    assert ingest(healthkit_body(category()), user=other_user).withheld == 0


def test_a_window_by_the_hosts_word(user: Any, host: Callable[..., None]) -> None:
    flow = category(start="2026-01-05T08:00:00Z")
    sync(user, flow, at("08:00:00"))
    host(user)

    batch = sync(user, flow, windows=[window(FLOW, RATE)])

    assert (batch.withheld, batch.rows_reconciled, uuids(user)) == (1, 1, {flow["uuid"]})


def test_a_host_that_answers_nonsense_stops_everything(user: Any, settings: Any, messages: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CONSENT": f"{__name__}.host_says_nonsense"}
    batch = accept(healthkit_body(category()), user=user)

    with pytest.raises(ImproperlyConfigured, match="CONSENT"):
        process(chunk_id=batch.chunks.get().pk, task_id="a")

    assert count(user) == 0


# A decision beside a merge


@contextmanager
def meanwhile(change: Callable[[], Any], *, times: int) -> Iterator[list[int]]:
    """Somebody decides each time that consent has been read and nothing has been stored yet."""
    connection = connections[database()]
    changed: list[int] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        answer = execute(sql, params, many, context)
        reads = sql.startswith("SELECT") and Consent._meta.db_table in sql
        if reads and not connection.in_atomic_block and len(changed) < times:
            changed.append(1)
            change()
        return answer

    with connection.execute_wrapper(watch):
        yield changed


def test_what_is_switched_off_during_the_merge_is_withheld(user: Any, messages: Any) -> None:
    batch = accept(healthkit_body(category(**MARKED), quantity()), user=user)

    with meanwhile(lambda: switch(user, FLOW), times=1):
        work(batch)

    assert (batch.withheld, batch.inserted, count(user)) == (1, 1, 1)
    assert MARK.encode() not in payloads(batch)


def test_what_is_allowed_during_the_merge_is_stored(user: Any, messages: Any) -> None:
    switch(user, FLOW, RATE)
    batch = accept(healthkit_body(category(**MARKED), quantity()), user=user)

    with meanwhile(lambda: switch(user, FLOW, allowed=True), times=1):
        work(batch)

    assert (batch.withheld, batch.inserted, count(user)) == (1, 1, 1)
    assert MARK.encode() in payloads(batch)


def test_a_user_who_cannot_decide_is_tried_again_later(user: Any, messages: Any) -> None:
    batch = accept(healthkit_body(category()), user=user)
    flips = iter([False, True] * 10)

    with meanwhile(lambda: switch(user, FLOW, allowed=next(flips)), times=9) as changed:
        work(batch)

    chunk = batch.chunks.get()
    assert (chunk.status, chunk.error_code, len(changed)) == (Status.PENDING, "", 3)
    assert chunk.not_before is not None
    assert count(user) == 0


def test_a_decision_beside_merges_holds_when_it_is_made(user: Any, settings: Any, messages: Any) -> None:
    """Whatever came after the decision: a row that is there was committed before it."""
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 5}
    stored: list[int] = []

    def decide() -> None:
        with transaction.atomic(using=database()):
            lock_user(user.pk, scope=Scope.SAMPLES, using=database())
            switch(user, FLOW)
            stored.append(count(user))

    for _ in range(TIMES):
        batch = accept(healthkit_body(*(category() for _ in range(20))), user=user)

        together(*map(run_chunk, batch.chunks.all()), decide)

        batch.refresh_from_db()
        assert (batch.status, batch.inserted) == (Status.COMPLETED, stored[-1])
        assert (batch.inserted + batch.withheld, count(user)) == (20, stored[-1])
        HealthSample.objects.using(database()).for_user(user).delete()
        Consent.objects.using(database()).all().delete()


# What it costs


def consent_queries(user: Any, body: bytes) -> list[str]:
    batch = accept(body, user=user)
    with CaptureQueriesContext(connections[database()]) as captured:
        work(batch)
    return [query["sql"] for query in captured.captured_queries if Consent._meta.db_table in query["sql"]]


def test_who_never_decided_pays_one_query_a_chunk(user: Any, messages: Any) -> None:
    """The second look is a condition of the UPDATE that completes the chunk."""
    first, second = consent_queries(user, healthkit_body(quantity()))

    assert first.startswith("SELECT")
    assert second.startswith("UPDATE")


def test_a_chunk_of_deletions_pays_nothing(user: Any, messages: Any) -> None:
    assert consent_queries(user, healthkit_body(deletions=[UUID(int=7)])) == []


def test_a_chunk_without_anything_to_withhold_is_not_written_again(user: Any, messages: Any) -> None:
    switch(user, FLOW)
    batch = accept(healthkit_body(quantity(), quantity(unit="kg")), user=user)

    with CaptureQueriesContext(connections[database()]) as captured:
        work(batch)

    updates = [query["sql"] for query in captured.captured_queries if query["sql"].startswith("UPDATE")]
    assert updates
    assert not any('"payload" =' in sql for sql in updates)
    assert ImportChunk.objects.using(database()).get().withheld == 0
