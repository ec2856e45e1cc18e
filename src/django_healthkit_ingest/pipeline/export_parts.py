"""One part of an export: as many lines as fit, compressed, and the place where the next part begins."""

from __future__ import annotations

import gzip
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from itertools import dropwhile
from typing import Any

from django_healthkit_ingest.models import Export
from django_healthkit_ingest.pipeline.belongings import BELONGINGS, CHUNKS, SERIES, Belonging, read_on
from django_healthkit_ingest.pipeline.export_lines import line, lines

VERSION = 1
"""Of the file; it grows when a reader of the last one would be wrong."""

PART_BYTES = 8 * 2**20
"""Compressed, held in memory until the part is stored."""

ROWS_AT_ONCE = 500
"""Rows of one query; those that hold whole arrays are read one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    content: bytes
    """One member of a gzip file; members one behind the other are one file."""
    place: Mapping[str, Any]
    counts: Mapping[str, int]
    """Of the whole file up to here."""
    is_last: bool


def make_part(export: Export, *, place: Mapping[str, Any], ends_at: float) -> Part:
    """From ``place`` on, until the part is full, the clock (``time.monotonic``) says ``ends_at``, or all is there."""
    counts = Counter(export.counts)
    is_last = False
    buffer = BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=6, mtime=0) as file:
        if not place:
            file.write(_header(export))
        for belonging, rows, behind in _slices(export.user_id, place):
            for each in lines(belonging, rows):
                file.write(each)
            counts[belonging.name] += len(rows)
            place = behind
            if buffer.tell() >= PART_BYTES or time.monotonic() >= ends_at:
                break
        else:
            file.write(line({"kind": "end", "counts": counts}))
            is_last = True
    return Part(content=buffer.getvalue(), place=place, counts=dict(counts), is_last=is_last)


def _header(export: Export) -> bytes:
    kinds = [belonging.kind for belonging in BELONGINGS]
    return line({"kind": "header", "version": VERSION, "created_at": export.created_at, "kinds": kinds})


def _slices(user_id: Any, place: Mapping[str, Any]) -> Iterator[tuple[Belonging, list[Any], dict[str, Any]]]:
    """Rows, and the place behind them."""
    name, within = place.get("of", BELONGINGS[0].name), place.get("at")
    for belonging in dropwhile(lambda each: each.name != name, BELONGINGS):
        size = 1 if belonging in (CHUNKS, SERIES) else ROWS_AT_ONCE
        while True:
            rows, within = read_on(belonging, user_id=user_id, place=within, size=size)
            if not rows:
                break
            yield belonging, rows, {"of": belonging.name, "at": within}
        within = None
