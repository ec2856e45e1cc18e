"""Whatever one record holds, its chunk completes and its neighbour gets in; on the real database."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.exceptions import MalformedBody
from django_healthkit_ingest.models import HealthSample, database
from django_healthkit_ingest.testing import ingest
from django_healthkit_ingest.testing.payloads import flutter_point, quantity

pytestmark = pytest.mark.django_db(databases="__all__")

TEXTS = {
    "nul": '"a\\u0000b"',
    "escaped backslash before u0000": '"a\\\\u0000b"',
    "lone surrogate": '"a\\ud800b"',
    "astral": '"\\ud83d\\ude00"',
    "long": json.dumps("x" * 5000),
    "empty": '""',
    "control": '"\\u0001\\u001f"',
    "null": "null",
    "true": "true",
    "huge exponent": "1e200000",
    "tiny exponent": "1e-200000",
    "beyond double": "1e400",
    "many digits": "9" * 5000,
    "int64 + 1": "9223372036854775808",
    "negative zero": "-0.0",
    "deep array": "[" * 900 + "]" * 900,
    "deep object": '{"a":' * 900 + "1" + "}" * 900,
    "duplicate keys": '{"a":1,"a":2}',
    "odd numbers": "[1E5, 1e+5, 0.1e-7, 123456789012345678901234567890.5]",
    "key with nul": '{"\\u0000":1}',
    "empty key": '{"":1}',
}

HEALTHKIT_FIELDS = (
    "uuid",
    "type",
    "start",
    "end",
    "value",
    "unit",
    "category",
    "time_zone",
    "metadata",
    "source",
    "device",
    "novelty",
)
FLUTTER_FIELDS = (
    "uuid",
    "type",
    "value",
    "unit",
    "dateFrom",
    "dateTo",
    "sourceName",
    "sourceId",
    "metadata",
    "novelty",
)


def with_raw(record: dict[str, Any], place: str, raw: str) -> str:
    """The record as JSON text with one value replaced by raw text, which Python's encoder could not write."""
    return json.dumps({**record, place: "@@"}).replace('"@@"', raw)


def stored(user: Any) -> Any:
    return HealthSample.objects.using(database()).for_user(user)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "in an object"])
def test_a_hostile_value_sinks_no_chunk(user: Any, name: str, wrapped: bool) -> None:
    raw = f'{{"k": {TEXTS[name]}}}' if wrapped else TEXTS[name]
    records = [with_raw(quantity(kind), place, raw) for kind in (HEART_RATE, "HKNew") for place in HEALTHKIT_FIELDS]
    body = f'{{"format":"healthkit","samples":[{",".join([*records, json.dumps(quantity())])}]}}'

    batch = ingest(body.encode(), user=user)

    assert batch.status == Status.COMPLETED
    assert batch.received == 2 * len(HEALTHKIT_FIELDS) + 1
    for sample in stored(user):
        sample.full_clean(exclude=["user", "batch", "type", "source"], validate_constraints=False)


@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_value_in_a_flutter_point_sinks_no_chunk(user: Any, name: str) -> None:
    raws = (TEXTS[name], f'{{"__type":"NumericHealthValue","numericValue":{TEXTS[name]}}}')
    records = [with_raw(flutter_point(), place, raw) for raw in raws for place in FLUTTER_FIELDS]
    body = f'{{"format":"flutter","time_zone":"UTC","samples":[{",".join([*records, json.dumps(flutter_point())])}]}}'

    batch = ingest(body.encode(), user=user)

    assert batch.status == Status.COMPLETED
    assert batch.inserted >= 1


def test_nesting_beyond_a_readers_stack_is_refused_as_a_whole_or_as_a_record(user: Any) -> None:
    """How deep msgspec can look differs between Python's versions; it never crashes and never stores half of it."""
    records = [json.dumps(quantity()), with_raw(quantity(), "metadata", "[" * 5000 + "]" * 5000)]
    body = f'{{"format":"healthkit","samples":[{",".join(records)}]}}'.encode()

    try:
        batch = ingest(body, user=user)
    except MalformedBody:
        assert not stored(user).exists()
    else:
        assert (batch.status, batch.inserted, batch.rejected) == (Status.COMPLETED, 1, 1)


HEART_RATE = "HKQuantityTypeIdentifierHeartRate"
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(changes=st.lists(st.dictionaries(st.sampled_from(HEALTHKIT_FIELDS), JSON_VALUES, max_size=3), max_size=8))
def test_any_json_is_accounted_for(user: Any, changes: list[dict[str, Any]]) -> None:
    records = [{**quantity(), **change} for change in changes]
    body = json.dumps({"format": "healthkit", "time_zone": "UTC", "samples": [*records, quantity()]})

    batch = ingest(body.encode(), user=user)

    assert batch.status == Status.COMPLETED
    assert batch.received == len(changes) + 1
    assert batch.inserted >= 1
