from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from django_healthkit_ingest.core.samples import ZoneBasis
from django_healthkit_ingest.core.timestamps import Interval, find_zone, is_naive, microseconds, read_interval
from django_healthkit_ingest.exceptions import RecordRejected

BERLIN = ZoneInfo("Europe/Berlin")
LISBON = ZoneInfo("Europe/Lisbon")


def read(
    start: str | datetime,
    end: str | datetime | None = None,
    *,
    own: ZoneInfo | None = None,
    declared: ZoneInfo | None = None,
) -> Interval:
    return read_interval(start, end, own_zone=own, declared_zone=declared)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T08:00:00.123+01:00", "2026-01-01T08:00:00.123+0100", "2026-01-01T08:00:00.123+01",
        "2026-01-01 08:00:00.123+01:00", "2026-01-01T08:00:00,123+01:00", "2026-01-01T07:00:00.123Z",
        "2026-01-01t07:00:00.123z", "2026-01-01T08:00:00.123000999+01:00", "2026-01-01T12:30:00.123+05:30",
        "2026-01-01 08:00:00.123 +0100", "2026-01-01T08:00:00.123 +01:00",
    ],
)  # fmt: skip
def test_spellings_of_one_instant(text: str) -> None:
    interval = read(text)

    assert interval.start == interval.end == datetime(2026, 1, 1, 7, 0, 0, 123_000, tzinfo=UTC)
    assert interval.start.tzinfo is UTC


@given(
    civil=some.datetimes(min_value=datetime(1899, 12, 31), max_value=datetime(2200, 1, 2)),  # noqa: DTZ001
    separator=some.sampled_from("Tt "),
    offset=some.sampled_from(
        ("+01:00", " +0100", "-03:30", " -0330", "+00:00", "-00:00", " -0000", "+24:00", "+1:000")
    ),
)
def test_whole_seconds_are_read_as_any_others_are(civil: datetime, separator: str, offset: str) -> None:
    """They have a quicker way."""
    text = civil.isoformat(sep=separator, timespec="seconds")

    assert outcome(f"{text}{offset}") == outcome(f"{text}.0{offset}")


def outcome(text: str) -> Interval | str:
    try:
        return read(text)
    except RecordRejected as error:
        return error.reason


def test_the_microseconds_are_the_instants() -> None:
    interval = read("2026-01-01T08:00:00+01:00", "2026-01-01T08:00:00.000007+01:00")

    assert interval.start_us == 1_767_250_800_000_000 == interval.end_us - 7
    assert interval.start_us == microseconds(interval.start)
    assert interval.end_us == microseconds(interval.end)


@pytest.mark.parametrize(
    ("start", "own", "declared", "time_zone", "basis"),
    [
        ("2026-01-01T08:00:00+01:00", None, BERLIN, "+01:00", ZoneBasis.OFFSET),
        ("2026-01-01T08:00:00-0330", None, None, "-03:30", ZoneBasis.OFFSET),
        ("2026-01-01T08:00:00+01", None, None, "+01:00", ZoneBasis.OFFSET),
        ("2026-01-01 08:00:00 +0100", None, BERLIN, "+01:00", ZoneBasis.OFFSET),
        ("2026-01-01 08:00:00 -0000", None, BERLIN, "", ZoneBasis.NONE),
        ("2026-01-01T08:00:00+00:00", None, None, "+00:00", ZoneBasis.OFFSET),
        ("2026-01-01T08:00:00-00:00", None, None, "", ZoneBasis.NONE),
        ("2026-01-01T08:00:00Z", None, BERLIN, "", ZoneBasis.NONE),
        ("2026-01-01T08:00:00", None, BERLIN, "Europe/Berlin", ZoneBasis.DECLARED),
        ("2026-01-01T08:00:00", LISBON, BERLIN, "Europe/Lisbon", ZoneBasis.METADATA),
        ("2026-01-01T08:00:00Z", LISBON, BERLIN, "Europe/Lisbon", ZoneBasis.METADATA),
        ("2026-01-01T08:00:00+01:00", LISBON, None, "Europe/Lisbon", ZoneBasis.METADATA),
        (datetime(2026, 1, 1, 8, tzinfo=timezone(timedelta(hours=-3, minutes=-30))), None, None, "-03:30", "O"),
        (datetime(2026, 1, 1, 8, tzinfo=UTC), None, BERLIN, "", ZoneBasis.NONE),
        (datetime(2026, 1, 1, 8), None, BERLIN, "Europe/Berlin", ZoneBasis.DECLARED),  # noqa: DTZ001
    ],
)
def test_how_the_civil_zone_is_known(
    start: str | datetime, own: ZoneInfo | None, declared: ZoneInfo | None, time_zone: str, basis: ZoneBasis
) -> None:
    interval = read(start, own=own, declared=declared)

    assert (interval.time_zone, interval.zone_basis) == (time_zone, basis)


def test_an_offset_beats_every_zone_for_the_instant() -> None:
    interval = read("2026-01-01T08:00:00+01:00", own=LISBON, declared=LISBON)

    assert interval.start == datetime(2026, 1, 1, 7, tzinfo=UTC)


def test_a_naive_time_is_read_in_its_own_zone_before_the_declared_one() -> None:
    interval = read("2026-01-01T08:00:00", "2026-01-01T09:00:00", own=LISBON, declared=BERLIN)

    assert interval.start == datetime(2026, 1, 1, 8, tzinfo=UTC)
    assert interval.end == datetime(2026, 1, 1, 9, tzinfo=UTC)


def test_the_repeated_hour_is_its_first_occurrence() -> None:
    interval = read("2026-10-25T02:10:00", "2026-10-25T02:50:00", declared=BERLIN)

    assert interval.start == datetime(2026, 10, 25, 0, 10, tzinfo=UTC)
    assert interval.end == datetime(2026, 10, 25, 0, 50, tzinfo=UTC)


def test_an_end_in_the_repeated_hour_that_would_come_too_early_is_its_second_occurrence() -> None:
    interval = read("2026-10-25T02:50:00", "2026-10-25T02:10:00", declared=BERLIN)

    assert interval.start == datetime(2026, 10, 25, 0, 50, tzinfo=UTC)
    assert interval.end == datetime(2026, 10, 25, 1, 10, tzinfo=UTC)


def test_a_time_the_clocks_skip_moves_forward_by_the_gap() -> None:
    interval = read("2026-03-29T02:30:00", declared=BERLIN)

    assert interval.start == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert interval.start.astimezone(BERLIN).hour == 3


@pytest.mark.parametrize(
    ("start", "end", "declared", "field", "reason"),
    [
        ("2026-01-01T08:00:00", None, None, "start", "naive_date"),
        ("2026-01-01T08:00:00Z", "2026-01-01T09:00:00", None, "end", "naive_date"),
        ("yesterday", None, BERLIN, "start", "invalid_date"),
        ("", None, BERLIN, "start", "invalid_date"),
        ("2026-01-01", None, BERLIN, "start", "invalid_date"),
        ("20260101T080000Z", None, BERLIN, "start", "invalid_date"),
        ("2026-W01-1T08:00:00Z", None, BERLIN, "start", "invalid_date"),
        ("2026-02-30T08:00:00Z", None, BERLIN, "start", "invalid_date"),
        ("2026-01-01T24:00:00Z", None, BERLIN, "start", "invalid_date"),
        ("2026-01-01T08:00:60Z", None, BERLIN, "start", "invalid_date"),
        ("2026-01-01T08:00:00+25:00", None, BERLIN, "start", "invalid_date"),
        # As long as the usual form, and Python would read them.
        ("2026-01-01T24:00:00+01:00", None, BERLIN, "start", "invalid_date"),
        ("2026-01-01T080000.1+01:00", None, BERLIN, "start", "invalid_date"),
        ("2026-W01-1T08:00:00+01:00", None, BERLIN, "start", "invalid_date"),
        ("20260101T08:00:00.5+01:00", None, BERLIN, "start", "invalid_date"),
        ("2026-01-01x08:00:00+01:00", None, BERLIN, "start", "invalid_date"),
        ("2026-01-01T08:00:00.12345", None, None, "start", "naive_date"),
        ("2026-01-01T08:00:00+01:00:30", None, BERLIN, "start", "invalid_date"),
        ("2026-01-01T08:00:00 Z", None, BERLIN, "start", "invalid_date"),
        ("٢٠٢٦-01-01T08:00:00Z", None, BERLIN, "start", "invalid_date"),
        ("2026-01-01T08:00:00Z\n", None, BERLIN, "start", "invalid_date"),
        ("2026-01-01T08:00:00Z", "later", BERLIN, "end", "invalid_date"),
        ("1899-12-31T23:59:59.999999Z", None, BERLIN, "start", "implausible_date"),
        ("1900-01-01T00:30:00+01:00", None, BERLIN, "start", "implausible_date"),
        ("2200-01-01T00:00:00Z", None, BERLIN, "start", "implausible_date"),
        ("0001-01-01T00:00:00+01:00", None, BERLIN, "start", "implausible_date"),
        ("9999-12-31T23:59:59-01:00", None, BERLIN, "start", "implausible_date"),
        ("0001-01-01T00:00:00", None, BERLIN, "start", "implausible_date"),
        ("0000-01-01T00:00:00Z", None, BERLIN, "start", "invalid_date"),
        ("2026-01-01T08:00:00Z", "9999-01-01T08:00:00Z", BERLIN, "end", "implausible_date"),
        ("2026-01-01T08:00:00Z", "2026-01-01T07:59:59Z", BERLIN, "end", "end_before_start"),
        ("2026-01-01T08:00:00", "2026-01-01T07:59:59", BERLIN, "end", "end_before_start"),
    ],
)
def test_faults(start: str, end: str | None, declared: ZoneInfo | None, field: str, reason: str) -> None:
    with pytest.raises(RecordRejected) as caught:
        read(start, end, declared=declared)

    assert (caught.value.field, caught.value.reason) == (field, reason)


@pytest.mark.parametrize("text", ["1900-01-01T00:00:00Z", "1899-12-31T23:30:00-05:00", "2199-12-31T23:59:59.999999Z"])
def test_the_bounds_are_plausible(text: str) -> None:
    assert read(text).start.tzinfo is UTC


@pytest.mark.parametrize(
    "name", ["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+3", "America/Port-au-Prince"]
)
def test_zone_names(name: str) -> None:
    zone = find_zone(name)

    assert zone is not None
    assert zone.key == name


@pytest.mark.parametrize(
    "name",
    [
        "", "Europe", "Europe/Atlantis", "Europe/", "/etc/localtime", "../../etc/passwd", "Europe/../UTC", "localtime",
        "posixrules", "Factory", "right/Europe/Berlin", "posix/Europe/Berlin", "Europe/Berlin\0", "Europe\\Berlin",
        "GMT+0100", "+01:00", "Europe/Berlin ", "Ünicode/Zone", "a" * 10_000, "Europe/Berlin/x/y", "tzdata.zi",
    ],
)  # fmt: skip
def test_what_is_no_zone(name: str) -> None:
    assert find_zone(name) is None


@pytest.mark.parametrize(
    ("text", "naive"),
    [
        ("2026-01-01T08:00:00", True),
        ("2026-01-01T08:00:00.000", True),
        ("2026-01-01 08:00", True),
        ("2026-01-01T08:00:00Z", False),
        ("2026-01-01T08:00:00z", False),
        ("2026-01-01T08:00:00+01:00", False),
        ("2026-01-01T08:00:00+0100", False),
        ("2026-01-01T08:00:00-08", False),
        ("2026-01-01", False),
        ("yesterday", False),
        ("", False),
    ],
)
def test_is_naive(text: str, naive: bool) -> None:
    assert is_naive(text) is naive
