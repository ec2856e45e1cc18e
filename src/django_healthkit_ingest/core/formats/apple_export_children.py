"""The elements inside a raw record, and those that are bulky: beats and locations."""

from __future__ import annotations

from typing import Any

import msgspec

from django_healthkit_ingest.core.formats.records import NULL
from django_healthkit_ingest.core.json_text import UNREADABLE
from django_healthkit_ingest.core.rejections import rejection
from django_healthkit_ingest.core.samples import Series
from django_healthkit_ingest.core.series import make_series


class Child(msgspec.Struct, frozen=True, gc=False):
    element: str = ""
    children: msgspec.Raw = NULL


RAWS = msgspec.json.Decoder(list[msgspec.Raw])
MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
CHILD = msgspec.json.Decoder(Child)


def decoded(decoder: msgspec.json.Decoder[Any], raw: bytes | msgspec.Raw, *, field: str) -> Any:
    try:
        return decoder.decode(raw)
    except RecursionError:
        reason = "too_deep"
    except UNREADABLE:
        reason = "wrong_type"
    raise rejection(reason, field=field)


def take_series(element: str, record: bytes, children: list[msgspec.Raw]) -> tuple[tuple[Series, ...], bytes]:
    """Beats of a heart rate variability, and the locations that workouts of 2018 held themselves."""
    if element == "Record":
        return _inner(children, "HeartRateVariabilityMetadataList", name="beats"), record
    if element != "Workout" or b'"Location"' not in record:
        return (), record
    series = _inner(children, "WorkoutRoute", only="Location", name="locations")
    whole = decoded(MEMBERS, record, field="")
    whole["children"] = msgspec.Raw(msgspec.json.encode([_without_locations(child) for child in children]))
    return series, msgspec.json.encode(whole)


def _without_locations(child: msgspec.Raw) -> msgspec.Raw:
    outer = decoded(CHILD, child, field="children")
    if outer.element != "WorkoutRoute" or outer.children == NULL:
        return child
    whole = decoded(MEMBERS, child, field="children")
    inner = decoded(RAWS, outer.children, field="children")
    kept = [each for each in inner if decoded(CHILD, each, field="children").element != "Location"]
    return msgspec.Raw(msgspec.json.encode({**whole, "children": kept}))


def _inner(children: list[msgspec.Raw], element: str, *, name: str, only: str = "") -> tuple[Series, ...]:
    found: list[bytes] = []
    for child in children:
        outer = decoded(CHILD, child, field="children")
        if outer.element == element and outer.children != NULL:
            inner = decoded(RAWS, outer.children, field="children")
            found += [
                bytes(each) for each in inner if not only or decoded(CHILD, each, field="children").element == only
            ]
    return (make_series(name, b"[" + b",".join(found) + b"]", field="children"),) if found else ()
