"""Bodies of the ``healthkit`` format, and how one becomes two without a word changing its meaning."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

Body = Mapping[str, Any]

SECTIONS = ("samples", "deletions", "statistics")


def encode(body: Body) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def pieces(body: Body, *, fits: Callable[[Body], bool]) -> Iterator[Body]:
    """The body in as many as it takes; a single record that does not fit is left to the server to refuse."""
    halves = None if fits(body) else halve(body)
    if halves is None:
        yield body
    else:
        for half in halves:
            yield from pieces(half, fits=fits)


def halve(body: Body) -> tuple[Body, Body] | None:
    """Two bodies to be sent in this order; None if there are no two records.

    Anchors say that all before them was sent, so only the last body has them. A window says that all of a period is
    in its body, so it is cut in time as its samples are; where they all start at once, it no longer says so. Deletions
    hold in any order.
    """
    records = [(section, record) for section in SECTIONS for record in body.get(section, ())]
    if len(records) < 2:
        return None
    windows: list[Body] = body.get("windows", [])
    early: list[Body] = []
    late: list[Body] = [{**window, "complete": False} for window in windows]
    middle = _middle(body["samples"]) if windows else None
    if middle is None:
        half = (len(records) + 1) // 2
        before, after = records[:half], records[half:]
    else:
        before = [each for each in records if each[0] == "samples" and _moment(each[1]["start"]) < middle]
        after = [each for each in records if each[0] != "samples" or _moment(each[1]["start"]) >= middle]
        early = [_until(middle, window) for window in windows if _moment(window["start"]) < middle]
        late = [_since(middle, window) for window in windows if _moment(window["end"]) > middle]
    first, last = _part(body, before, windows=early), _part(body, after, windows=late)
    return first, {**last, "anchors": body["anchors"]} if "anchors" in body else last


def _part(body: Body, records: Iterable[tuple[str, Any]], *, windows: list[Body]) -> dict[str, Any]:
    part = {key: value for key, value in body.items() if key not in (*SECTIONS, "anchors", "windows")}
    part["samples"] = []
    for section, record in records:
        part.setdefault(section, []).append(record)
    return {**part, "windows": windows} if windows else part


def _middle(samples: Iterable[Mapping[str, Any]]) -> datetime | None:
    """A start that half of the samples are before; None if no samples are."""
    try:
        starts = sorted(_moment(sample["start"]) for sample in samples)
    except (KeyError, TypeError, ValueError):
        return None
    return next((start for start in starts[len(starts) // 2 :] if start > starts[0]), None)


def _until(middle: datetime, window: Body) -> Body:
    return window if _moment(window["end"]) <= middle else {**window, "end": middle.isoformat()}


def _since(middle: datetime, window: Body) -> Body:
    return window if _moment(window["start"]) >= middle else {**window, "start": middle.isoformat()}


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
