from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_healthkit_ingest.core.formats.health_auto_export_dates import is_day, offset_of, read_date
from django_healthkit_ingest.core.timestamps import read_interval

SPACES = st.sampled_from([" ", "\u202f", "\u00a0"])
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
SECONDS = st.integers(0, 4_000_000_000)
MOMENTS = st.builds(datetime.fromtimestamp, SECONDS, OFFSETS)
SPELLINGS = ["%Y-%m-%d %H:%M:%S %z", "%Y-%m-%dT%H:%M:%S%z"]
HALVES = st.sampled_from(["AM PM", "am pm", "a.m. p.m.", "A.M. P.M."]).map(str.split)


def instant(text: str) -> datetime:
    return read_interval(read_date(text), None, own_zone=None, declared_zone=None).start


@given(moment=MOMENTS, spelling=st.sampled_from(SPELLINGS))
def test_a_clock_of_24_hours(moment: datetime, spelling: str) -> None:
    assert instant(moment.strftime(spelling)) == moment


@given(moment=MOMENTS, halves=HALVES, before=SPACES | st.just(""), after=SPACES)
def test_a_clock_of_12_hours(moment: datetime, halves: list[str], before: str, after: str) -> None:
    hour = moment.hour % 12 or 12
    text = f"{moment:%Y-%m-%d} {hour}:{moment:%M:%S}{before}{halves[moment.hour // 12]}{after}{moment:%z}"

    assert instant(text) == moment


@given(text=st.text(max_size=40) | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T]?[0-9:]{0,8}.{0,9}", fullmatch=True))
def test_any_text(text: str) -> None:
    date = read_date(text)

    assert read_date(date) == date
    assert offset_of(date) in date


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2026-01-05 12:00:00 AM +0100", "2026-01-05T00:00:00+0100"),
        ("2026-01-05 12:30:00\u202fpm -0700", "2026-01-05T12:30:00-0700"),
        ("2026-01-05 3:04:05 PM", "2026-01-05T15:04:05"),
        ("2026-01-05 08:00 +01:00", "2026-01-05T08:00:00+01:00"),
        ("2026-01-05", "2026-01-05T00:00:00"),
        ("2026-01-05 +0100", "2026-01-05T00:00:00+0100"),
        ("2026-01-05T07:00:00.250Z", "2026-01-05T07:00:00.250Z"),
        ("2026-01-05 13:00:00 PM +0100", "2026-01-05 13:00:00 PM +0100"),
        ("2026-01-05 0:30:00 AM +0100", "2026-01-05 0:30:00 AM +0100"),
        ("5 January 2026", "5 January 2026"),
        ("", ""),
    ],
)
def test_spellings(text: str, date: str) -> None:
    assert read_date(text) == date


@pytest.mark.parametrize(
    ("date", "day"),
    [("2026-01-05", True), ("2026-01-05 00:00:00 +0100", True), ("2026-01-05 00:00:01 +0100", False), ("", False)],
)
def test_midnight_stands_for_the_day(date: str, day: bool) -> None:
    assert is_day(read_date(date)) is day


def test_the_offset() -> None:
    assert [offset_of(text) for text in ("2026-01-05 08:00:00 +0100", "2026-01-05", "x")] == ["+0100", "", ""]
    assert instant("2026-01-05 08:00:00 +0100") == datetime(2026, 1, 5, 7, tzinfo=UTC)
