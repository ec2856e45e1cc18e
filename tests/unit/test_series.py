from __future__ import annotations

import json

import pytest

from django_healthkit_ingest.core.catalogue import load
from django_healthkit_ingest.core.encodings import decompress
from django_healthkit_ingest.core.registry import SampleKind
from django_healthkit_ingest.core.series import MAX_SERIES_BYTES, make_series, take_series
from django_healthkit_ingest.exceptions import RecordRejected

PLACES = [
    (kind, name, path) for kind, names in load("series.json").items() for name, paths in names.items() for path in paths
]


@pytest.mark.parametrize(("kind", "name", "path"), PLACES)
def test_every_place_is_emptied(kind: str, name: str, path: str) -> None:
    *outer, last = path.split(".")
    inner = {last: [1, [2], {"a": 3}], "rest": 4}
    record = {outer[0]: inner, "type": "x"} if outer else inner

    (series,), left = take_series(json.dumps(record).encode(), kind=SampleKind(kind))

    assert (series.name, series.points) == (name, 3)
    assert json.loads(decompress(series.payload)) == [1, [2], {"a": 3}]
    assert json.loads(left) == ({outer[0]: {"rest": 4}, "type": "x"} if outer else {"rest": 4})


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        (SampleKind.ECG, {"voltages": "none"}),
        (SampleKind.ECG, {"value": {"voltageValues": None}}),
        (SampleKind.ECG, {"value": 3}),
        (SampleKind.ECG, {"locations": [1]}),
        (SampleKind.QUANTITY, {"voltages": [1]}),
        (SampleKind.ECG, ["voltages"]),
        (None, {"voltages": [1]}),
    ],
)
def test_what_is_no_series_stays(kind: SampleKind | None, record: object) -> None:
    text = json.dumps(record).encode()

    assert take_series(text, kind=kind) == ((), text)


def test_one_name_has_one_series() -> None:
    """A series is stored under its sample and its name; the second place of the same name stays in the record."""
    found, left = take_series(b'{"route": [2, 3], "locations": [1]}', kind=SampleKind.SERIES)

    assert [(each.name, each.points) for each in found] == [("locations", 1)]
    assert json.loads(left) == {"route": [2, 3]}


def test_a_record_may_have_several() -> None:
    found, left = take_series(b'{"beats": [2, 3], "locations": [1]}', kind=SampleKind.SERIES)

    assert [(each.name, each.points) for each in found] == [("locations", 1), ("beats", 2)]
    assert left == b"{}"


def test_the_digest_is_the_arrays() -> None:
    first, same, other = (make_series("beats", text, field="beats") for text in (b"[1]", b"[1]", b"[2]"))

    assert first == same
    assert first.digest != other.digest


@pytest.mark.parametrize(
    ("array", "code"), [(b"{}", "wrong_type"), (b"[" + b" " * MAX_SERIES_BYTES + b"]", "too_long")]
)
def test_what_is_refused(array: bytes, code: str) -> None:
    with pytest.raises(RecordRejected) as caught:
        make_series("beats", array, field="heartbeats")

    assert (caught.value.field, caught.value.reason) == ("heartbeats", code)
