"""The bulky members of a record, taken out of it: they are kept apart from the row and read only when asked for."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b

import msgspec

from django_healthkit_ingest.core.catalogue import load
from django_healthkit_ingest.core.encodings import compress
from django_healthkit_ingest.core.json_text import UNREADABLE
from django_healthkit_ingest.core.registry import SampleKind
from django_healthkit_ingest.core.rejections import rejection
from django_healthkit_ingest.core.samples import Series

MAX_SERIES_BYTES = 64 * 2**20
"""Of one series as JSON; an hour of electrocardiogram at 512 Hz has 60."""

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


def take_series(record: bytes, *, kind: SampleKind | None) -> tuple[tuple[Series, ...], bytes]:
    """The record's series and the record without them; the same bytes if its kind has none or it holds none.

    Where a dialect puts them is data: ``catalogue/series.json``, the first place that is there. A member of such a name
    that is no array stays where it is. Raises RecordRejected.
    """
    places = _places().get(kind, ()) if kind is not None else ()
    taken: dict[str, Series] = {}
    for name, path in places:
        if name in taken:
            continue
        found, record = _take(record, path)
        if found is not None:
            taken[name] = make_series(name, found, field=".".join(path))
    return tuple(taken.values()), record


def make_series(name: str, array: bytes, *, field: str) -> Series:
    """Raises RecordRejected with ``field`` if this is no JSON array, or too long."""
    if len(array) > MAX_SERIES_BYTES:
        raise rejection("too_long", field=field)
    try:
        points = len(_ARRAY.decode(array))
    except UNREADABLE:
        raise rejection("wrong_type", field=field) from None
    digest = blake2b(array, digest_size=16).hexdigest()
    return Series(name=name, points=points, payload=compress(array), digest=digest)


def _take(record: bytes, path: tuple[str, ...]) -> tuple[bytes | None, bytes]:
    if path[0].encode() not in record:
        return None, record
    try:
        members = _OBJECT.decode(record)
    except UNREADABLE:
        return None, record  # whoever keeps the record whole says what is wrong with it
    inner = members.get(path[0])
    if inner is None:
        return None, record
    if len(path) > 1:
        found, rest = _take(bytes(inner), path[1:])
        members[path[0]] = msgspec.Raw(rest)
    else:
        found = bytes(inner) if bytes(inner)[:1] == b"[" else None
        if found is not None:
            del members[path[0]]
    return found, record if found is None else msgspec.json.encode(members)


@lru_cache(maxsize=1)
def _places() -> dict[SampleKind, tuple[tuple[str, tuple[str, ...]], ...]]:
    return {SampleKind(kind): tuple(_each_place(names)) for kind, names in load("series.json").items()}


def _each_place(names: dict[str, list[str]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, paths in names.items():
        for path in paths:
            yield name, tuple(path.split("."))
