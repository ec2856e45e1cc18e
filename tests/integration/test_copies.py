"""Records without uuid, replacements, correlations and series; on every engine."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from django_healthkit_ingest import queues
from django_healthkit_ingest.core.encodings import decompress
from django_healthkit_ingest.models import HealthSample, ImportBatch, SampleSeries, Tally, Tombstone, Trace, database
from django_healthkit_ingest.pipeline.dispatch import dispatch
from django_healthkit_ingest.pipeline.process import process
from django_healthkit_ingest.pipeline.replay import replay
from django_healthkit_ingest.pipeline.store import postgresql
from django_healthkit_ingest.testing import flutter_body, healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import SOURCE, category, flutter_point, quantity

pytestmark = pytest.mark.django_db(databases="__all__")

MOMENT = "2026-01-05T08:00:00Z"
ECG = "HKDataTypeIdentifierElectrocardiogram"
BLOOD_PRESSURE = "HKCorrelationTypeIdentifierBloodPressure"


def rows(user: Any) -> Any:
    return HealthSample.objects.using(database()).for_user(user)


def content(user: Any) -> list[tuple[Any, ...]]:
    fields = ("type__identifier", "uuid", "start", "value", "category", "metadata", "rank", "fp_seq")
    return sorted(rows(user).values_list(*fields), key=repr)


def balanced(batch: ImportBatch) -> bool:
    outcomes = ("inserted", "updated", "adopted", "duplicate", "superseded", "buried", "deletion", "rejected")
    return bool(batch.received == sum(getattr(batch, name) for name in outcomes))


def loose(value: float = 61, **fields: Any) -> dict[str, Any]:
    return quantity(uuid=None, value=value, start=MOMENT, **fields)


def run_again(batch: ImportBatch) -> None:
    with queues.captured() as messages:
        replay(batch=batch)
        dispatch(user_id=batch.user_id, lane=batch.lane)
        while messages:
            message = messages.popleft()
            if message.name == queues.PROCESS_CHUNK:
                process(chunk_id=message.ids["chunk_id"], task_id=str(uuid4()))
    batch.refresh_from_db()


NEW_TYPE = "HKQuantityTypeIdentifierLoudnessOfTheFuture"
KNOWN = {"SAMPLE_TYPES": [{"identifier": NEW_TYPE, "kind": "quantity", "canonical_unit": "m"}]}


@pytest.mark.parametrize("size", [1, 100])
def test_a_type_that_becomes_known_takes_over_its_rows_without_uuid(user: Any, settings: Any, size: int) -> None:
    records = [quantity(NEW_TYPE, uuid=None, unit="km", value=value, start=MOMENT) for value in (1, 1, 2)]
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": size}
    batch = ingest(healthkit_body(*records, quantity(NEW_TYPE, value=9, unit="km", start=MOMENT)), user=user)
    before = rows(user).count()

    settings.HEALTHKIT_INGEST = {**KNOWN, "CHUNK_SIZE": size}
    run_again(batch)

    assert before == 3, "the uuid stood for one of three that nobody could tell apart"
    assert batch.status == "COMPLETED"
    assert balanced(batch)
    assert sorted(rows(user).values_list("value", "details")) == [
        (1000, None),
        (1000, None),
        (2000, None),
        (9000, None),
    ]


MOOD = "HKCategoryTypeIdentifierMoodOfTheFuture"


@pytest.mark.parametrize("size", [1, 100])
def test_a_category_that_becomes_known_is_of_another_class_in_rows_and_tallies(
    user: Any, settings: Any, size: int
) -> None:
    """Of an unknown type nobody can say that 1 and 2 are different; once it is known they are."""
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": size}
    records = [category(MOOD, uuid=None, category=number, start=MOMENT) for number in (1, 1, 2)]
    batch = ingest(healthkit_body(*records), user=user)
    tallies = Tally.objects.using(database()).filter(batch=batch)
    before = set(tallies.values_list("twins", flat=True))

    known = {"SAMPLE_TYPES": [{"identifier": MOOD, "kind": "category"}]}
    settings.HEALTHKIT_INGEST = {**known, "CHUNK_SIZE": size}
    run_again(batch)

    assert balanced(batch)
    assert sorted(rows(user).values_list("category", "details")) == [(1, None), (1, None), (2, None)]
    assert len(set(tallies.values_list("twins", flat=True)) - before) == (2 if size == 1 else 0)


def synced(version: Any, *, uuid: str | None = None, identifier: Any = "walk-1", **fields: Any) -> dict[str, Any]:
    metadata = {"HKMetadataKeySyncIdentifier": identifier, "HKMetadataKeySyncVersion": version}
    return quantity(uuid=uuid or str(uuid4()), start=MOMENT, value=60 + len(str(version)), metadata=metadata, **fields)


def in_every_order(bodies: Iterable[bytes], user_factory: Any) -> list[tuple[Any, ...]]:
    """The table that all orders of these bodies, each also sent twice, end in."""
    ended = []
    for order in permutations(bodies):
        someone = user_factory()
        for body in (*order, order[0]):
            assert balanced(ingest(body, user=someone))
        ended.append(content(someone))
    assert all(each == ended[0] for each in ended)
    return ended[0]


def test_two_equal_meals_are_two_and_sent_again_still_two(user: Any) -> None:
    body = healthkit_body(loose(), loose())

    first, again = ingest(body, user=user), ingest(body, user=user)

    assert (first.inserted, again.inserted, again.duplicate) == (2, 0, 2)
    assert rows(user).count() == 2


def test_equal_records_keep_what_tells_them_apart(user_factory: Any, settings: Any) -> None:
    meals = [loose(metadata={"HKFoodType": food}) for food in ("toast", "egg")]

    for size in (1, 100):
        settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": size}
        ended = in_every_order([healthkit_body(*meals), healthkit_body(*meals[::-1])], user_factory)
        assert {row[5]["HKFoodType"] for row in ended} == {"toast", "egg"}


def test_a_batch_is_counted_over_its_chunks(user: Any, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 2}

    ingest(healthkit_body(*[loose()] * 5), user=user)
    again = ingest(healthkit_body(*[loose()] * 5), user=user)

    assert rows(user).count() == 5
    assert again.duplicate == 5
    assert Tally.objects.using(database()).filter(user_id=user.pk).count() == 6


def test_a_batch_is_counted_over_chunks_that_share_no_instant(user: Any, settings: Any) -> None:
    """A second is what makes two records equal, and these start at two moments of one."""
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 1}
    moments = (MOMENT.replace("00Z", part) for part in ("00.9Z", "00.1Z"))
    body = healthkit_body(*(quantity(uuid=None, value=61, start=moment) for moment in moments))

    first, again = ingest(body, user=user), ingest(body, user=user)

    assert (first.inserted, again.duplicate, rows(user).count()) == (2, 2, 2)


def test_only_chunks_that_share_a_record_are_read_again(user: Any, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 2}
    parts = [f"2026-01-{day:02}T08:00:00Z" for day in (1, 2, 3, 4, 4, 5)]
    beside = [category(uuid=None, start=moment) for moment in parts[2:4]]
    body = healthkit_body(*(quantity(uuid=None, value=61, start=moment) for moment in parts), *beside)

    with CaptureQueriesContext(connections[database()]) as queries:
        ingest(body, user=user)

    read = [query["sql"] for query in queries if '"payload" IS NOT NULL' in query["sql"] and "SELECT" in query["sql"]]
    assert len(read) == 1, "the second chunk, by the third"
    tallies = [query["sql"] for query in queries if '"twins"' in query["sql"] and "SELECT" in query["sql"]]
    assert len(tallies) == 1, "nor is another type's tally of the same days"
    assert rows(user).count() == 8


def test_days_between_a_chunks_types_are_not_looked_at(user: Any, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 2}
    early, between, late = (f"2026-01-0{day}T08:00:00Z" for day in (1, 5, 9))
    first = [quantity(uuid=None, value=value, start=between) for value in (61, 62)]
    body = healthkit_body(*first, quantity(uuid=None, start=early), category(uuid=None, start=late))

    with CaptureQueriesContext(connections[database()]) as queries:
        ingest(body, user=user)

    assert not [query["sql"] for query in queries if '"twins"' in query["sql"] and "SELECT" in query["sql"]]


@pytest.mark.parametrize("few", [1, 50])
def test_how_many_rows_lie_near_decides_nothing_but_the_way_to_find_them(
    user: Any, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(postgresql, "FEW", few)
    near = [quantity(uuid=None, value=n, start=f"2026-01-05T08:00:{n:02}Z") for n in range(20)]
    named = [quantity(value=n, start=f"2026-01-05T08:01:{n:02}Z") for n in range(20)]
    ingest(healthkit_body(*near[::2], *named[::2]), user=user)

    everything = [each | {"uuid": None} for each in (*near, *named)]
    batch = ingest(healthkit_body(*everything, category(uuid=None)), user=user)

    assert (batch.inserted, batch.duplicate, rows(user).count()) == (21, 20, 41)


def test_the_largest_batch_counts(user_factory: Any) -> None:
    bodies = [healthkit_body(*[loose()] * number) for number in (1, 3, 2)]

    assert len(in_every_order(bodies, user_factory)) == 3


def test_values_cut_to_six_digits_are_the_same_value(user_factory: Any) -> None:
    walk: dict[str, Any] = {
        "identifier": "HKQuantityTypeIdentifierDistanceWalkingRunning",
        "start": MOMENT,
        "uuid": None,
    }
    bodies = [
        healthkit_body(quantity(value=1609.344, unit="m", **walk)),
        healthkit_body(quantity(value=1.00000, unit="mi", **walk)),
        healthkit_body(quantity(value=1609.34, unit="m", **walk)),
    ]

    assert len(in_every_order(bodies, user_factory)) == 1


def test_a_record_without_uuid_is_adopted_by_its_twin(user: Any) -> None:
    known = quantity(start=MOMENT)
    ingest(healthkit_body(loose()), user=user)

    batch = ingest(healthkit_body(known, quantity(start="2026-01-05T09:00:00Z")), user=user)
    late = ingest(healthkit_body(loose()), user=user)

    assert (batch.adopted, batch.inserted, batch.rows_removed, batch.rows_absorbed) == (1, 1, 0, 0)
    assert (late.duplicate, late.inserted) == (1, 0)
    assert {str(row.uuid) for row in rows(user).filter(start=MOMENT)} == {known["uuid"]}


def test_adoption_in_every_order(user_factory: Any) -> None:
    one, other = quantity(start=MOMENT), quantity(start=MOMENT)
    bodies = [healthkit_body(*[loose()] * 3), healthkit_body(one), healthkit_body(other)]

    ended = in_every_order(bodies, user_factory)

    assert sorted(str(row[1]) for row in ended) == sorted([one["uuid"], other["uuid"], "None"])


def test_a_dead_sample_still_stands_for_its_copy(user_factory: Any) -> None:
    record = quantity(start=MOMENT)
    bodies = [healthkit_body(record), healthkit_body(deletions=[record["uuid"]]), healthkit_body(loose())]

    assert in_every_order(bodies, user_factory) == []


def test_a_copy_that_goes_because_its_sample_died_is_counted_apart(user: Any) -> None:
    record = quantity(start=MOMENT)
    ingest(healthkit_body(deletions=[record["uuid"]]), user=user)
    ingest(healthkit_body(loose()), user=user)

    batch = ingest(healthkit_body(record), user=user)

    assert (batch.buried, batch.rows_absorbed, batch.rows_removed, batch.adopted) == (1, 1, 0, 0)
    assert not rows(user).exists()


def test_both_looks_of_one_uuid_stand_for_their_copies(user_factory: Any) -> None:
    uuid = str(uuid4())
    bodies = [
        healthkit_body(quantity(uuid=uuid, start=MOMENT, value=61)),
        flutter_body(flutter_point(uuid=uuid, start=MOMENT, value=70)),
        healthkit_body(loose(61), loose(70)),
    ]

    ended = in_every_order(bodies, user_factory)

    assert [str(row[1]) for row in ended] == [uuid]


def test_the_higher_sync_version_stays(user_factory: Any) -> None:
    bodies = [healthkit_body(synced(version)) for version in (1, 2, 10)]

    ended = in_every_order(bodies, user_factory)

    assert [row[5]["HKMetadataKeySyncVersion"] for row in ended] == [10]


def test_a_deleted_newer_version_still_beats_the_older_one(user_factory: Any) -> None:
    newer = synced(2)
    bodies = [healthkit_body(synced(1)), healthkit_body(newer), healthkit_body(deletions=[newer["uuid"]])]

    assert in_every_order(bodies, user_factory) == []


def test_equal_versions_are_settled_by_uuid(user_factory: Any) -> None:
    twins = [synced(1, uuid=str(UUID(int=number << 64))) for number in (7, 9)]

    ended = in_every_order([healthkit_body(each) for each in twins], user_factory)

    assert [str(row[1]) for row in ended] == [twins[1]["uuid"]]


def test_a_replacement_in_one_chunk_counts_as_superseded(user: Any) -> None:
    batch = ingest(healthkit_body(synced(2), synced(1), synced(1)), user=user)
    late = ingest(healthkit_body(synced(3)), user=user)

    assert (batch.inserted, batch.superseded, batch.rows_removed) == (1, 2, 0)
    assert (late.inserted, late.superseded, late.rows_removed) == (1, 0, 1)
    assert Tombstone.objects.using(database()).filter(user_id=user.pk, reason="S").count() == 3


@pytest.mark.parametrize(
    "other",
    [
        synced(2, identifier="walk-2"),
        synced(2, source={**SOURCE, "bundle_id": "com.example.other"}),
        synced(2, source={"name": "no bundle"}),
        synced("2"),
        synced(2.5),
        synced(None),
        synced(2, identifier=17),
        synced(2, identifier=""),
    ],
    ids=lambda record: repr(record["metadata"]),
)
def test_only_the_same_app_with_the_same_identifier_replaces(user: Any, other: Any) -> None:
    ingest(healthkit_body(synced(1)), user=user)

    batch = ingest(healthkit_body(other), user=user)

    assert (batch.inserted, batch.rows_removed) == (1, 0)


def test_a_poorer_copy_of_a_replaced_sample_stays_dead(user_factory: Any) -> None:
    older = synced(1)
    bodies = [
        flutter_body(flutter_point(uuid=older["uuid"], start=MOMENT)),
        healthkit_body(older),
        healthkit_body(synced(2)),
    ]

    ended = in_every_order(bodies, user_factory)

    assert [row[5]["HKMetadataKeySyncVersion"] for row in ended] == [2]


def test_what_an_app_says_of_its_sample_is_not_lost_to_a_richer_copy(user_factory: Any) -> None:
    older, newer = synced(1), synced(2)
    poor = flutter_point(
        uuid=older["uuid"], start=MOMENT, metadata=older["metadata"], sourceId=older["source"]["bundle_id"]
    )
    rich = quantity(uuid=older["uuid"], start=MOMENT)

    ended = in_every_order([flutter_body(poor), healthkit_body(rich), healthkit_body(newer)], user_factory)

    assert [str(row[1]) for row in ended] == [newer["uuid"]]


def test_nor_to_a_copy_in_the_same_chunk(user: Any) -> None:
    older, newer = synced(1), synced(2)
    copies = [quantity(uuid=older["uuid"], start=MOMENT, metadata={"copy": number}) for number in range(8)]

    ingest(healthkit_body(*copies[:4], older, *copies[4:]), user=user)
    ingest(healthkit_body(newer), user=user)

    assert [str(row[1]) for row in content(user)] == [newer["uuid"]]


def blood_pressure(*, uuid: str | None = "new", members: Iterable[str | None] = ("new", "new")) -> dict[str, Any]:
    names = ("HKQuantityTypeIdentifierBloodPressureSystolic", "HKQuantityTypeIdentifierBloodPressureDiastolic")
    inner = [
        quantity(name, uuid=str(uuid4()) if each == "new" else each, value=value, unit="mmHg", start=MOMENT)
        for name, each, value in zip(names, members, (121, 79), strict=True)
    ]
    own = str(uuid4()) if uuid == "new" else uuid
    return quantity(BLOOD_PRESSURE, uuid=own, value=None, unit=None, start=MOMENT, objects=inner)


def test_a_correlation_brings_its_members_as_rows(user: Any) -> None:
    pressure = blood_pressure()

    batch = ingest(healthkit_body(pressure), user=user)
    again = ingest(healthkit_body(pressure, pressure["objects"][0]), user=user)

    assert (batch.received, batch.inserted, batch.rows_of_members) == (1, 1, 2)
    assert (again.received, again.duplicate, again.rows_of_members) == (2, 2, 0)
    assert rows(user).count() == 3
    assert rows(user).get(type__identifier=BLOOD_PRESSURE).details["objects"]


def test_a_correlation_without_a_good_member_is_refused_whole(user: Any) -> None:
    pressure = blood_pressure()
    pressure["objects"][1]["unit"] = "kg"

    batch = ingest(healthkit_body(pressure), user=user)

    assert (batch.rejected, batch.rows_of_members) == (1, 0)
    assert not rows(user).exists()
    assert list(batch.chunks.values_list("rejections__field", flat=True)) == ["objects.1.unit"]


def test_deleting_a_correlation_buries_its_members_in_any_order(user_factory: Any) -> None:
    pressure = blood_pressure()
    bodies = [
        healthkit_body(*pressure["objects"]),
        healthkit_body(pressure),
        healthkit_body(deletions=[pressure["uuid"]]),
    ]

    assert in_every_order(bodies, user_factory) == []


def test_a_replaced_correlation_takes_its_members_along(user_factory: Any) -> None:
    older, newer = blood_pressure(), blood_pressure()
    for version, pressure in enumerate((older, newer)):
        pressure["metadata"] = {"HKMetadataKeySyncIdentifier": "bp", "HKMetadataKeySyncVersion": version}

    ended = in_every_order([healthkit_body(older), healthkit_body(newer)], user_factory)

    assert {str(row[1]) for row in ended} == {newer["uuid"], *(each["uuid"] for each in newer["objects"])}


def test_members_without_uuid_that_are_repeated_outside_count_once(user_factory: Any, settings: Any) -> None:
    pressure = blood_pressure(uuid=None, members=(None, None))

    for size in (1, 100):
        settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": size}
        ended = in_every_order([healthkit_body(*pressure["objects"], pressure), healthkit_body(pressure)], user_factory)
        assert len(ended) == 3


def electrocardiogram(**fields: Any) -> dict[str, Any]:
    voltages = [{"time": n / 512, "microvolts": n * 0.5} for n in range(20)]
    return quantity(ECG, value=None, unit=None, start=MOMENT, voltages=voltages, **fields)


def test_a_series_is_kept_apart_and_goes_with_its_sample(user: Any) -> None:
    record = electrocardiogram()

    ingest(healthkit_body(record), user=user)

    series = SampleSeries.objects.using(database()).get(user_id=user.pk)
    assert (series.name, series.points, str(series.sample_key)) == ("voltages", 20, record["uuid"])
    assert b'"microvolts":9.5' in decompress(series.payload)
    assert "voltages" not in rows(user).get().details

    ingest(healthkit_body(deletions=[record["uuid"]]), user=user)
    ingest(healthkit_body(record), user=user)

    assert not SampleSeries.objects.using(database()).filter(user_id=user.pk).exists()


def test_a_series_of_a_copy_outlives_its_adoption_and_not_its_death(user_factory: Any) -> None:
    record = electrocardiogram()
    bare = {key: value for key, value in record.items() if key != "voltages"}
    copy = {key: value for key, value in record.items() if key != "uuid"}
    bodies = {
        "copy": healthkit_body(copy),
        "record": healthkit_body(bare),
        "deletion": healthkit_body(deletions=[record["uuid"]]),
    }

    for order in permutations(bodies):
        someone = user_factory()
        mine = SampleSeries.objects.using(database()).filter(user_id=someone.pk)
        seen = []
        for name in order:
            ingest(bodies[name], user=someone)
            seen.append(name)
            expected = "copy" in seen and not {"record", "deletion"} <= set(seen)
            assert mine.exists() is expected, seen


def test_the_better_version_of_a_series_stays(user_factory: Any) -> None:
    uuid = str(uuid4())
    poor = flutter_point(
        "ELECTROCARDIOGRAM",
        uuid=uuid,
        unit="VOLT",
        start=MOMENT,
        value=0,
    )
    poor["value"] = {
        "__type": "ElectrocardiogramHealthValue",
        "voltageValues": [{"__type": "ElectrocardiogramVoltageValue", "voltage": 0.1, "timeSinceSampleStart": 0}],
        "classification": "SINUS_RHYTHM",
    }
    bodies = [healthkit_body(electrocardiogram(uuid=uuid)), flutter_body(poor)]

    for order in permutations(bodies):
        someone = user_factory()
        for body in order:
            ingest(body, user=someone)
        assert SampleSeries.objects.using(database()).get(user_id=someone.pk).points == 20


def test_replaced_and_deleted_samples_leave_a_trace_without_type_or_time(user: Any) -> None:
    record = category()
    ingest(healthkit_body(record), user=user)

    ingest(healthkit_body(deletions=[record["uuid"]]), user=user)

    trace = Trace.objects.using(database()).get(user_id=user.pk)
    assert (str(trace.uuid), trace.value) == (record["uuid"], 0.0)


def test_the_usual_chunk_asks_for_no_rule_it_does_not_need(user: Any) -> None:
    ingest(healthkit_body(*(quantity(value=n) for n in range(50))), user=user)
    body = healthkit_body(*(quantity(value=n) for n in range(50)))

    with CaptureQueriesContext(connections[database()]) as queries:
        batch = ingest(body, user=user)

    assert batch.inserted == 50
    asked = [
        query["sql"]
        for query in queries
        if any(f"healthkit_ingest_{name}" in query["sql"] for name in ("trace", "tally", "sampleseries"))
    ]
    assert asked == []
    touching = [query["sql"] for query in queries if "healthkit_ingest_healthsample" in query["sql"]]
    assert len(touching) == 3, "the gates, the lookup of its uuids, and one write"
