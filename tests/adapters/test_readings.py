"""Samples, statistics, types and sources over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from django_healthkit_ingest.core.encodings import compress
from django_healthkit_ingest.core.registry import shipped_registry
from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import HealthSample, ImportBatch, SampleSeries, Source, Tombstone, database
from django_healthkit_ingest.signals import samples_changed
from django_healthkit_ingest.testing import flutter_body, healthkit_body, ingest
from django_healthkit_ingest.testing.factories import (
    HealthSampleFactory,
    ImportBatchFactory,
    SourceFactory,
    StatisticFactory,
    TypeIdentifierFactory,
)
from django_healthkit_ingest.testing.payloads import flutter_point, quantity

pytestmark = pytest.mark.django_db(databases="__all__")

URL = "/health/samples/"
HEART_RATE = "HKQuantityTypeIdentifierHeartRate"
STEPS = "HKQuantityTypeIdentifierStepCount"
START = datetime(2026, 1, 5, 8, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_broker(messages: Any) -> Any:
    return messages


def read(phone: Client, **query: Any) -> list[dict[str, Any]]:
    answer = phone.get(URL, {"type": HEART_RATE, **query})
    assert answer.status_code == 200, answer.content
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def test_a_sample_as_it_is_stored(phone: Client, user: Any) -> None:
    record = quantity(metadata={"HKMetadataKeyHeartRateMotionContext": 1})
    ingest(healthkit_body(record), user=user)
    row = HealthSample.objects.for_user(user).using(database()).get()

    (shown,) = read(phone)

    assert shown.pop("id") not in (str(row.pk), str(row.uuid))
    source = shown.pop("source")
    assert shown == {
        "uuid": str(row.uuid),
        "type": HEART_RATE,
        "start": row.start.isoformat().replace("+00:00", "Z"),
        "end": row.end.isoformat().replace("+00:00", "Z"),
        "time_zone": row.time_zone,
        "value": row.value,
        "unit": "count/min",
        "category": None,
        "category_name": None,
        "metadata": {"HKMetadataKeyHeartRateMotionContext": 1},
        "details": None,
    }
    assert source is None or {"id", "name", "bundle_id", "precedence"} <= set(source)


def test_a_category_has_its_name(phone: Client, user: Any) -> None:
    kind = TypeIdentifierFactory.create(identifier="HKCategoryTypeIdentifierMenstrualFlow")
    HealthSampleFactory.create(user=user, type=kind, value=None, category=3)

    (shown,) = read(phone, type="HKCategoryTypeIdentifierMenstrualFlow")

    names = shipped_registry().get("HKCategoryTypeIdentifierMenstrualFlow")
    assert names is not None
    assert (shown["category"], shown["category_name"]) == (3, names.category_values[3])


def test_filters(phone: Client, user: Any, other_user: Any) -> None:
    watch, phone_source = SourceFactory.create(user=user), SourceFactory.create(user=user)
    for hour in range(4):
        HealthSampleFactory.create(
            user=user, start=START + timedelta(hours=hour), value=float(hour), source=(watch, phone_source)[hour % 2]
        )
    HealthSampleFactory.create(user=user, type=TypeIdentifierFactory.create(identifier=STEPS), value=99.0)
    HealthSampleFactory.create(user=other_user, value=98.0)

    def values(**query: Any) -> list[float]:
        return [each["value"] for each in read(phone, **query)]

    assert values() == [0, 1, 2, 3]
    assert values(start="2026-01-05T09:00:00Z", end="2026-01-05T11:00:00Z") == [1, 2]
    assert values(start="2026-01-05T10:00:00+01:00") == [1, 2, 3], "an offset, and its plus unescaped"
    assert values(source=str(watch.key)) == [0, 2]
    assert values(source=str(uuid4())) == []
    assert values(type="HKNobodyKnows") == []


def test_a_type_has_many_names(phone: Client, user: Any) -> None:
    ingest(flutter_body(flutter_point()), user=user)
    known = shipped_registry().get(HEART_RATE)
    assert known is not None

    for name in (HEART_RATE, *known.aliases):
        assert len(read(phone, type=name)) == 1


def test_updated_since_is_by_import_and_leaves_nothing_out(phone: Client, user: Any) -> None:
    now = timezone.now()
    old = ImportBatchFactory.create(user=user, status=Status.COMPLETED, finished_at=now - timedelta(hours=2))
    new = ImportBatchFactory.create(user=user, status=Status.COMPLETED, finished_at=now - timedelta(minutes=5))
    running = ImportBatchFactory.create(user=user, status=Status.PROCESSING)
    for value, batch in ((1.0, old), (2.0, new), (3.0, running)):
        HealthSampleFactory.create(user=user, batch=batch, value=value, start=START + timedelta(minutes=value))

    since = (now - timedelta(hours=1)).isoformat()

    assert [each["value"] for each in read(phone, updated_since=since)] == [2, 3]


def test_a_row_that_is_replaced_is_updated(phone: Client, user: Any) -> None:
    first = ingest(healthkit_body(quantity(uuid=(uuid := str(uuid4())))), user=user)
    ImportBatch.objects.using(database()).filter(pk=first.pk).update(finished_at=timezone.now() - timedelta(days=1))
    since = (timezone.now() - timedelta(hours=1)).isoformat()
    assert read(phone, updated_since=since) == []

    better = {"HKMetadataKeySyncIdentifier": "a", "HKMetadataKeySyncVersion": 2}
    ingest(healthkit_body(quantity(uuid=uuid, metadata=better)), user=user)

    assert len(read(phone, updated_since=since)) == 1


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"type": ""}, "type"),
        ({"type": "\0"}, "type"),
        ({"start": "yesterday"}, "start"),
        ({"end": "2026-01-05T09:00:00"}, "end"),
        ({"updated_since": "2026-13-01T00:00:00Z"}, "updated_since"),
        ({"source": "watch"}, "source"),
        ({"page_size": "1001"}, "1000"),
        ({"cursor": "MQ"}, "cursor"),
    ],
)
def test_a_bad_question_names_the_parameter(phone: Client, query: dict[str, str], named: str) -> None:
    asked: dict[str, str] = {"type": HEART_RATE, **query}
    answer = phone.get(URL, asked)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_query")
    assert named in answer.json()["detail"]


def test_a_page_of_samples_is_a_fixed_number_of_queries(
    phone: Client, user: Any, django_assert_max_num_queries: Any
) -> None:
    for minute in range(30):
        HealthSampleFactory.create(user=user, start=START + timedelta(minutes=minute))

    for size in (1, 30):
        with django_assert_max_num_queries(4, using=database()):  # token, user, type, page
            assert len(read(phone, page_size=size)) == size


def test_pages_go_on_while_data_arrives(phone: Client, user: Any) -> None:
    for minute in range(4):
        HealthSampleFactory.create(user=user, start=START + timedelta(minutes=minute), value=float(minute))
    first = phone.get(URL, {"type": HEART_RATE, "page_size": "2"}).json()
    HealthSampleFactory.create(user=user, start=START - timedelta(minutes=1), value=-1.0)

    second = phone.get(first["next"]).json()

    assert [each["value"] for each in (*first["results"], *second["results"])] == [0, 1, 2, 3]


def test_one_sample_and_its_series(phone: Client, user: Any) -> None:
    row = HealthSampleFactory.create(user=user)
    assert row.uuid is not None
    SampleSeries.objects.using(database()).create(
        user_id=user.pk, rank=1, points=2, sample_key=row.uuid, name="beats", payload=compress(b"[1, 2.5]")
    )
    (shown,) = read(phone)

    assert phone.get(f"{URL}{shown['id']}/").json() == shown
    assert phone.get(f"{URL}{shown['id']}/series/").json() == {"beats": [1, 2.5]}


@pytest.mark.parametrize("sample_id", ["1", "x" * 22, str(uuid4()), "é"])
def test_an_id_nobody_gave_is_no_sample(phone: Client, user: Any, sample_id: str) -> None:
    HealthSampleFactory.create(user=user)

    for path in ("", "series/"):
        assert phone.get(f"{URL}{sample_id}/{path}").status_code == 404
    assert phone.delete(f"{URL}{sample_id}/").status_code == 404


def test_a_deleted_sample_stays_away(phone: Client, user: Any) -> None:
    body = healthkit_body(quantity(), quantity())
    ingest(body, user=user)
    gone, kept = read(phone)

    assert phone.delete(f"{URL}{gone['id']}/").status_code == 204
    ingest(body, user=user)

    assert [each["uuid"] for each in read(phone)] == [kept["uuid"]]
    assert phone.delete(f"{URL}{gone['id']}/").status_code == 404
    assert Tombstone.objects.using(database()).filter(user_id=user.pk, uuid=gone["uuid"]).exists()


@pytest.mark.parametrize("copies", [1, 3])
def test_a_deleted_sample_without_uuid_stays_away(phone: Client, user: Any, copies: int) -> None:
    record = quantity()
    del record["uuid"]
    body = healthkit_body(*([record] * copies))
    ingest(body, user=user)
    rows = read(phone)
    assert len(rows) == copies

    phone.delete(f"{URL}{rows[0]['id']}/")
    ingest(body, user=user)
    ingest(body, user=user)

    assert len(read(phone)) == copies - 1


def test_deleting_a_sample_is_announced(phone: Client, user: Any, django_capture_on_commit_callbacks: Any) -> None:
    heard: list[dict[str, Any]] = []

    def hear(**told: Any) -> None:
        heard.append(told)

    ingest(healthkit_body(quantity()), user=user)
    (shown,) = read(phone)
    samples_changed.connect(hear)
    try:
        with django_capture_on_commit_callbacks(using=database(), execute=True):
            phone.delete(f"{URL}{shown['id']}/")
    finally:
        samples_changed.disconnect(hear)

    (told,) = heard
    assert (told["cause"], told["batch_id"], told["removed"]) == ("deletion", None, 1)
    assert told["identifiers"] == {HEART_RATE}


def test_statistics(phone: Client, user: Any, other_user: Any) -> None:
    row = StatisticFactory.create(user=user)
    StatisticFactory.create(user=user, aggregation="maximum", type=row.type)
    StatisticFactory.create(user=other_user, type=row.type)

    (shown,) = phone.get("/health/statistics/", {"type": STEPS, "aggregation": "sum"}).json()["results"]

    assert (shown["id"], shown["value"], shown["unit"], shown["aggregation"]) == (str(row.key), 8421.0, "count", "sum")
    assert len(phone.get("/health/statistics/", {"type": STEPS}).json()["results"]) == 2


def test_the_catalogue_is_the_registrys(phone: Client) -> None:
    rows = phone.get("/health/types/").json()["results"]

    assert [row["identifier"] for row in rows] == [each.identifier for each in shipped_registry()]
    (rate,) = [row for row in rows if row["identifier"] == HEART_RATE]
    assert (rate["kind"], rate["unit"]) == ("quantity", "count/min")


def test_sources_and_whom_to_trust(phone: Client, user: Any, other_user: Any) -> None:
    mine = SourceFactory.create(user=user, precedence=1)
    newer = SourceFactory.create(user=user, recorder=uuid4(), precedence=1)
    Source.objects.using(database()).filter(pk=mine.pk).update(recorder=newer.recorder)
    theirs = SourceFactory.create(user=other_user, precedence=1)

    answer = phone.patch(f"/health/sources/{mine.key}/", data='{"precedence": 9}', content_type="application/json")

    assert (answer.status_code, answer.json()["precedence"]) == (200, 9)
    rows = phone.get("/health/sources/").json()["results"]
    assert [(row["id"], row["precedence"]) for row in rows] == [(str(mine.key), 9), (str(newer.key), 9)]
    theirs.refresh_from_db()
    assert theirs.precedence == 1


@pytest.mark.parametrize("body", ["{}", '{"precedence": 0}', '{"precedence": 40000}', '{"precedence": "1"}', "[", ""])
def test_a_precedence_has_bounds(phone: Client, user: Any, body: str) -> None:
    source = SourceFactory.create(user=user)

    answer = phone.patch(f"/health/sources/{source.key}/", data=body, content_type="application/json")

    assert (answer.status_code, answer.json()["retry"]) == (400, "FIX")


def test_a_new_version_of_an_app_inherits_its_recorders_precedence(phone: Client, user: Any) -> None:
    source = {"name": "Ring", "bundle_id": "com.ring.app", "version": "1.0"}
    ingest(healthkit_body(quantity(source=source)), user=user)
    first = Source.objects.using(database()).get()
    phone.patch(f"/health/sources/{first.key}/", data='{"precedence": 7}', content_type="application/json")

    ingest(healthkit_body(quantity(source={**source, "version": "1.1"})), user=user)

    assert set(Source.objects.using(database()).values_list("precedence", flat=True)) == {7}
    assert Source.objects.using(database()).count() == 2
