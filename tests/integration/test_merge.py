"""What counts as the same sample, whatever the order; on every engine."""

from __future__ import annotations

from itertools import permutations
from typing import Any
from uuid import uuid4

import pytest

from django_healthkit_ingest.models import HealthSample, Tombstone, database
from django_healthkit_ingest.pipeline.store.merge import merge
from django_healthkit_ingest.pipeline.store.place import Place
from django_healthkit_ingest.testing import flutter_body, healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import flutter_point, quantity

pytestmark = pytest.mark.django_db(databases="__all__")


def table(user: Any) -> list[tuple[Any, ...]]:
    rows = HealthSample.objects.using(database()).for_user(user)
    fields = ("uuid", "fingerprint", "start", "end", "value", "category", "raw_unit", "time_zone", "metadata")
    return sorted(rows.values_list("type__identifier", "source__name", *fields), key=repr)


def test_a_resent_sample_is_a_duplicate(user: Any) -> None:
    body = healthkit_body(quantity(), quantity())
    ingest(body, user=user)
    before = table(user)

    again = ingest(body, user=user)

    assert (again.inserted, again.updated, again.duplicate) == (0, 0, 2)
    assert table(user) == before


def test_a_repeat_inside_one_chunk_is_a_duplicate(user: Any) -> None:
    record = quantity()

    batch = ingest(healthkit_body(record, record, record), user=user)

    assert (batch.inserted, batch.duplicate) == (1, 2)


def test_without_uuid_the_fingerprint_decides(user: Any) -> None:
    record = quantity(uuid=None)
    ingest(healthkit_body(record), user=user)

    again = ingest(healthkit_body(record, quantity(uuid=None, value=99)), user=user)

    assert (again.inserted, again.duplicate) == (1, 1)
    assert len(table(user)) == 2


def test_two_uuids_are_two_samples_however_alike(user: Any) -> None:
    batch = ingest(healthkit_body(quantity(), quantity()), user=user)

    assert batch.inserted == 2


def test_users_do_not_share_samples(user: Any, other_user: Any) -> None:
    body = healthkit_body(quantity(), quantity(uuid=None, start="2026-01-05T09:00:00Z"))

    ingest(body, user=user)
    batch = ingest(body, user=other_user)

    assert batch.inserted == 2
    assert len(table(user)) == len(table(other_user)) == 2


@pytest.mark.parametrize("uuid", [str(uuid4()), None], ids=["uuid", "fingerprint"])
def test_differing_records_of_one_sample_end_the_same_in_any_order(user_factory: Any, uuid: str | None) -> None:
    moment = "2026-01-05T08:00:00.250Z"
    bodies = [
        healthkit_body(quantity(uuid=uuid, start=moment, metadata={"revision": 1})),
        healthkit_body(quantity(uuid=uuid, start=moment, metadata={"revision": 2})),
        flutter_body(flutter_point(uuid=uuid or "", start=moment)),
    ]
    tables = []

    for order in permutations(bodies):
        someone = user_factory()
        for body in order:
            ingest(body, user=someone)
        tables.append(table(someone))

    assert all(each == tables[0] for each in tables)
    assert len(tables[0]) == 1
    assert tables[0][0][-1] in ({"revision": 1}, {"revision": 2}), "HealthKit's own format knows more than Flutter's"


def test_an_update_is_counted_and_a_worse_record_is_not(user: Any) -> None:
    uuid = str(uuid4())
    poor = flutter_body(flutter_point(uuid=uuid, start="2026-01-05T08:00:00Z"))
    rich = healthkit_body(quantity(uuid=uuid, start="2026-01-05T08:00:00Z"))
    ingest(poor, user=user)

    better = ingest(rich, user=user)
    worse = ingest(poor, user=user)

    assert (better.updated, better.duplicate) == (1, 0)
    assert (worse.updated, worse.duplicate) == (0, 1)


@pytest.mark.parametrize("deletion_first", [True, False])
def test_a_deleted_sample_stays_deleted(user: Any, deletion_first: bool) -> None:
    record = quantity()
    bodies = [healthkit_body(record), healthkit_body(deletions=[record["uuid"]])]

    batches = [ingest(body, user=user) for body in (reversed(bodies) if deletion_first else bodies)]
    late = ingest(bodies[0], user=user)

    assert table(user) == []
    assert Tombstone.objects.using(database()).filter(user_id=user.pk).count() == 1
    assert sum(batch.deletion for batch in batches) == 1
    assert sum(batch.rows_removed for batch in batches) == (0 if deletion_first else 1)
    assert (late.buried, late.inserted) == (1, 0)


def test_a_deletion_is_the_users_own(user: Any, other_user: Any) -> None:
    record = quantity()
    ingest(healthkit_body(record), user=user)

    ingest(healthkit_body(deletions=[record["uuid"]]), user=other_user)

    assert len(table(user)) == 1


def test_chunking_changes_nothing(user_factory: Any, settings: Any) -> None:
    records = [quantity(uuid=None, value=n % 5, start=f"2026-01-05T08:00:{n % 7:02}Z") for n in range(60)]
    records += [quantity(value=n) for n in range(30)]
    tables = []

    for size in (1, 13, 1000):
        settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": size}
        someone = user_factory()
        ingest(healthkit_body(*records), user=someone)
        tables.append(table(someone))

    assert tables[0] == tables[1] == tables[2]
    assert len(tables[0]) == 60 + 30, "equal records of one batch are so many samples"


def test_merging_outside_a_transaction_is_refused(transactional_db: Any, user: Any) -> None:
    place = Place(user_id=user.pk, batch_id=1, chunk_id=1, only_chunk=True, using=database())

    with pytest.raises(RuntimeError, match="transaction"):
        merge([], [], place=place, type_ids={}, source_ids={}, recall=lambda chunk_ids: [])
