"""Pages by key, on the list with ties and on the one without."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from django_healthkit_ingest.exceptions import InvalidQuery
from django_healthkit_ingest.models import HealthSample, ImportBatch, database
from django_healthkit_ingest.pipeline.owned import owned
from django_healthkit_ingest.pipeline.pages import Order, Page, read_page, scope_of
from django_healthkit_ingest.testing.factories import HealthSampleFactory, ImportBatchFactory

pytestmark = pytest.mark.django_db(databases="__all__")

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
BY_START = Order(field="start")
LATEST_FIRST = Order(field="created_at", descending=True)


def samples(user: Any, *minutes: int) -> list[HealthSample]:
    batch = ImportBatchFactory.create(user=user)
    starts = [START + timedelta(minutes=minute) for minute in minutes]
    return [HealthSampleFactory.create(user=user, batch=batch, source=None, start=start) for start in starts]


def page(user: Any, *, cursor: str | None = None, size: int = 2) -> Page[HealthSample]:
    rows = owned(HealthSample, user=user)
    return read_page(rows, order=BY_START, cursor=cursor, size=size, scope=scope_of("samples", user=user))


def walk(user: Any, *, size: int = 2) -> list[int]:
    found, cursor = [], None
    while True:
        one = page(user, cursor=cursor, size=size)
        found += [row.pk for row in one.rows]
        if one.next is None:
            return found
        cursor = one.next


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
def test_every_row_is_on_one_page_also_among_ties(user: Any, size: int) -> None:
    rows = samples(user, 0, 1, 1, 1, 1, 2, 0)

    assert walk(user, size=size) == [row.pk for row in sorted(rows, key=lambda row: (row.start, row.pk))]


def test_back_is_where_we_came_from(user: Any) -> None:
    samples(user, 0, 1, 1, 1, 2, 3)
    first = page(user)
    second = page(user, cursor=first.next)
    third = page(user, cursor=second.next)

    back = page(user, cursor=third.previous)

    assert (first.previous, third.next) == (None, None)
    assert [row.pk for row in back.rows] == [row.pk for row in second.rows]
    begin = page(user, cursor=back.previous)
    assert [row.pk for row in begin.rows] == [row.pk for row in first.rows]
    assert begin.previous is None
    assert begin.next is not None


def test_what_arrives_meanwhile_shifts_nothing(user: Any) -> None:
    rows = samples(user, 0, 10, 20, 30)
    first = page(user)
    late = samples(user, 5, 25)

    rest = page(user, cursor=first.next, size=10)

    assert [row.pk for row in first.rows] == [rows[0].pk, rows[1].pk]
    assert [row.pk for row in rest.rows] == [rows[2].pk, late[1].pk, rows[3].pk], (
        "the one behind the cursor is not shown"
    )


def test_a_row_that_goes_takes_no_other_along(user: Any) -> None:
    rows = samples(user, 0, 1, 2, 3)
    first = page(user)
    first.rows[-1].delete()

    assert [row.pk for row in page(user, cursor=first.next).rows] == [rows[2].pk, rows[3].pk]


def test_the_cursor_of_each_row_begins_after_it(user: Any) -> None:
    rows = samples(user, 0, 1, 1, 2)
    everything = page(user, size=10)

    for position, cursor in enumerate(everything.cursors):
        assert [row.pk for row in page(user, cursor=cursor, size=10).rows] == [row.pk for row in rows[position + 1 :]]


def test_falling_order(user: Any) -> None:
    batches = [ImportBatchFactory.create(user=user, created_at=START + timedelta(hours=hour)) for hour in (0, 1, 1, 2)]
    mine = owned(ImportBatch, user=user)
    scope = scope_of("imports", user=user)

    first = read_page(mine, order=LATEST_FIRST, cursor=None, size=2, scope=scope)
    second = read_page(mine, order=LATEST_FIRST, cursor=first.next, size=2, scope=scope)
    back = read_page(mine, order=LATEST_FIRST, cursor=second.previous, size=2, scope=scope)

    expected = [batch.pk for batch in reversed(batches)]
    assert [row.pk for row in (*first.rows, *second.rows)] == expected
    assert [row.pk for row in back.rows] == expected[:2]


@pytest.mark.parametrize("cursor", ["", "garbage", "x" * 44])
def test_a_cursor_nobody_gave_is_refused(user: Any, cursor: str) -> None:
    with pytest.raises(InvalidQuery):
        page(user, cursor=cursor)


def test_a_cursor_is_of_one_user_and_one_list(user: Any, other_user: Any) -> None:
    samples(user, 0, 1, 2)
    cursor = page(user).next

    with pytest.raises(InvalidQuery):
        page(other_user, cursor=cursor)
    rows = owned(HealthSample, user=user)
    with pytest.raises(InvalidQuery):
        read_page(rows, order=BY_START, cursor=cursor, size=2, scope=scope_of("samples", user=user, type="another"))


@pytest.mark.parametrize("size", [0, -1, 1001])
def test_a_page_has_bounds(user: Any, size: int) -> None:
    with pytest.raises(InvalidQuery):
        page(user, size=size)


def test_a_page_is_one_query(user: Any, django_assert_num_queries: Any) -> None:
    samples(user, *range(9))

    with django_assert_num_queries(1, using=database()):
        page(user, cursor=None, size=5)
