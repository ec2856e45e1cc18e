"""Why a record can be refused: stable codes and one sentence each, free of anything that was sent."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType

import msgspec

from django_healthkit_ingest.exceptions import RecordRejected


@lru_cache(maxsize=1)
def reasons() -> Mapping[str, str]:
    """Every code with its sentence, from ``rejections.json``."""
    text = files(__package__).joinpath("rejections.json").read_bytes()
    return MappingProxyType(msgspec.json.decode(text, type=dict[str, str]))


def rejection(reason: str, *, field: str = "") -> RecordRejected:
    """The error to raise; ``field`` is a dotted path in the record, made of names this package knows."""
    return RecordRejected(reasons()[reason], field=field, reason=reason)
