"""What stands in a stored array of records where one was that its user does not let us keep.

A place is blanked and not removed, for rejections, records set aside and the wire formats count places. A client can
send the same text: its own record then counts as withheld, and nothing else comes of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

import msgspec

from django_healthkit_ingest.core.formats.envelope import join
from django_healthkit_ingest.core.formats.records import split_array

_MARK = b'{"healthkit_ingest":"withheld"'


class Blank(Enum):
    """Says nothing of the record's type: that there was one is as personal as what it said."""

    OWN = _MARK + b"}"
    """It was of a type that is switched off, and of no other."""
    MIXED = _MARK + b',"mixed":true}'
    """Other types were in it, or may have been: its batch does not hold all of theirs any more."""


_BLANKS = {blank.value: blank for blank in Blank}


def find_blanks(records: bytes) -> Mapping[int, Blank]:
    """By place in a JSON array of records, from 0. Raises MalformedBody if it is none."""
    if _MARK not in records:
        return {}
    texts = ((place, bytes(raw)) for place, raw in enumerate(split_array(records)))
    return {place: _BLANKS[text] for place, text in texts if text in _BLANKS}


def blank_out(records: bytes, places: Mapping[int, Blank]) -> bytes:
    """The same array with these places blanked. Raises MalformedBody if it is none."""
    raws: Iterable[msgspec.Raw] = (
        msgspec.Raw(places[place].value) if place in places else raw for place, raw in enumerate(split_array(records))
    )
    return join(raws)
