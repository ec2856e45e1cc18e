"""The sample table as the merge sees it: how much of it a lookup reads, and what a row keeps that is replaced."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connections, transaction
from django.test.utils import CaptureQueriesContext

from django_healthkit_ingest.models import HealthSample, database
from django_healthkit_ingest.pipeline.store.engine import engine_of, sample_field
from django_healthkit_ingest.pipeline.store.table import COLUMNS
from django_healthkit_ingest.testing import flutter_body, healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import flutter_point, quantity

pytestmark = pytest.mark.django_db(databases="__all__")

START = datetime(2026, 1, 5, 7, tzinfo=UTC)
MANY = 3000


@pytest.fixture
def crowded(user: Any, other_user: Any) -> Any:
    """A user with many rows, of whom the planner believes that there is none."""
    ingest(healthkit_body(*(quantity() for _ in range(300))), user=other_user)
    with connections[database()].cursor() as cursor:
        cursor.execute("ANALYZE healthkit_ingest_healthsample")
    moments = ((START + timedelta(seconds=7 * number)).isoformat() for number in range(MANY))
    ingest(healthkit_body(*(quantity(start=moment) for moment in moments)), user=user)
    ingest(flutter_body(*(flutter_point(uuid=None, start=START - timedelta(days=n)) for n in range(MANY))), user=user)
    return user


def plans(body: bytes, *, user: Any, asking: str, but: str | None = None) -> str:
    """How the database goes about those statements of an import that have this in them, and not ``but``."""
    connection = connections[database()]
    with CaptureQueriesContext(connection) as queries:
        ingest(body, user=user)
    asked = [query["sql"] for query in queries if asking in query["sql"] and "healthsample" in query["sql"]]
    asked = [sql for sql in asked if but is None or but not in sql]
    assert asked
    explain = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
    lines: list[Any] = []
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":  # a planner that is free to go another way takes it
            cursor.execute("SET LOCAL enable_nestloop = off")
        for sql in asked:
            cursor.execute(f"{explain} {sql}")
            lines += cursor.fetchall()
    return "\n".join(str(line[-1]) for line in lines)


def test_uuids_are_looked_up_by_their_index_however_many_rows_the_user_has(crowded: Any) -> None:
    body = healthkit_body(*(quantity() for _ in range(1000)))

    plan = plans(body, user=crowded, asking="sync_version FROM")

    assert "hki_sample_uuid" in plan
    assert any("user_id" in line and ("uuid = " in line or "uuid=?" in line) for line in plan.splitlines())


def test_records_without_uuid_are_looked_up_by_type_and_second(crowded: Any) -> None:
    points = [flutter_point(uuid=None, start=START + timedelta(seconds=7 * number)) for number in range(1000)]

    asking = "interval '1 second'" if connections[database()].vendor == "postgresql" else "'~'"

    plan = plans(flutter_body(*points), user=crowded, asking=asking)

    lookups = [line for line in plan.splitlines() if "user_id" in line]
    assert any("start" in line and "type_id" in line for line in lookups)
    assert all("type_id" in line or "twin" in line for line in lookups), plan


WHETHER_ANY = "IS NOT NULL, (SELECT 1"
"""In questions for the first row of all, which is found by the user alone."""
REPEATED = [START - timedelta(days=n) for n in range(60)]
SYNCED = {"HKMetadataKeySyncIdentifier": "of-the-app", "HKMetadataKeySyncVersion": 1}
RARE = {
    "copies again": flutter_body(*(flutter_point(uuid=None, start=moment) for moment in REPEATED)),
    "a few copies again": flutter_body(*(flutter_point(uuid=None, start=moment) for moment in REPEATED[:9])),
    "copies that a uuid takes": healthkit_body(*(quantity(start=moment.isoformat()) for moment in REPEATED)),
    "deletions": healthkit_body(deletions=[str(uuid4()) for _ in range(40)]),
    "sync identifiers": healthkit_body(quantity(metadata=SYNCED)),
}


@pytest.mark.parametrize("body", RARE.values(), ids=RARE.keys())
def test_no_rule_of_the_merge_reads_all_of_a_users_rows(body: bytes, crowded: Any) -> None:
    plan = plans(body, user=crowded, asking="WHERE", but=WHETHER_ANY)

    searches = [line for line in plan.splitlines() if "user_id" in line and ("Index Cond" in line or "SEARCH" in line)]
    assert searches
    assert all(re.search("type_id|twin|uuid|sync_key|start", line.split("(user_id")[-1]) for line in searches), plan


def test_whether_a_user_has_such_rows_costs_no_look_at_everybody_elses(user: Any, other_user: Any) -> None:
    """Of rows that are many a planner expects to come upon one soon, and reads all that lie before the first."""
    for whose in (other_user, user):
        points = [flutter_point(uuid=None, start=START - timedelta(minutes=n)) for n in range(2 * MANY)]
        ingest(flutter_body(*points), user=whose)
    if connections[database()].vendor == "postgresql":
        with connections[database()].cursor() as cursor:
            cursor.execute("ANALYZE healthkit_ingest_healthsample")
    body = flutter_body(*(flutter_point(uuid=None, start=START + timedelta(minutes=n)) for n in range(10)))

    plan = plans(body, user=user, asking="(SELECT 1 FROM")

    scans = [line for line in plan.splitlines() if "healthsample" in line]
    assert scans
    assert all("hki_sample_uuid" in line or "hki_sample_twin" in line for line in scans), plan


def test_a_row_that_is_replaced_keeps_its_key(user: Any) -> None:
    uuid = str(uuid4())
    ingest(healthkit_body(quantity(uuid=uuid, value=60, metadata={"n": 0})), user=user)
    rows = HealthSample.objects.using(database()).for_user(user)
    first = rows.get()
    contents = set()

    for number in range(1, 30):
        batch = ingest(healthkit_body(quantity(uuid=uuid, value=60, metadata={"n": number})), user=user)
        row = rows.get()
        assert row.pk == first.pk
        assert (batch.updated, batch.duplicate) in {(1, 0), (0, 1)}
        assert (row.batch_id == batch.pk) is bool(batch.updated)
        contents.add(str(row.metadata))

    assert 1 < len(contents) < 30


def test_what_the_database_refuses_is_an_error_of_django(user: Any) -> None:
    """Others are nobody's to sort: a lost connection would count as a crash, and not as a reason to try again."""
    ingest(healthkit_body(quantity()), user=user)
    rows = HealthSample.objects.using(database()).for_user(user)
    fields = [sample_field(name) for name in ("id", *COLUMNS)]
    values = rows.values_list(*(field.attname for field in fields)).get()

    connection = connections[database()]
    with pytest.raises(IntegrityError), transaction.atomic(using=database()), connection.cursor() as cursor:
        engine_of(connection).insert(cursor, [values], fields=fields)

    assert rows.count() == 1


def test_a_new_row_after_a_replaced_one_has_a_key_of_its_own(user: Any) -> None:
    uuid = str(uuid4())
    for number in range(30):
        ingest(healthkit_body(quantity(uuid=uuid, metadata={"n": number}), quantity()), user=user)

    assert HealthSample.objects.using(database()).for_user(user).count() == 31
