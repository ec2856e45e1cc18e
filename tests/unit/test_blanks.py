from __future__ import annotations

import msgspec
import pytest

from django_healthkit_ingest.core.blanks import Blank, blank_out, find_blanks
from django_healthkit_ingest.exceptions import MalformedBody

RECORDS = b'[{"value": 1, "text": "a,]\\"["},[2] , null,"four"]'


def test_places_do_not_move() -> None:
    blanked = blank_out(RECORDS, {0: Blank.OWN, 2: Blank.MIXED})

    read = msgspec.json.decode(blanked)
    assert (len(read), read[1], read[3]) == (4, [2], "four")
    assert b"value" not in blanked
    assert find_blanks(blanked) == {0: Blank.OWN, 2: Blank.MIXED}


def test_blanks_stay_when_others_come() -> None:
    once = blank_out(RECORDS, {2: Blank.MIXED})

    assert find_blanks(blank_out(once, {0: Blank.OWN})) == {0: Blank.OWN, 2: Blank.MIXED}


@pytest.mark.parametrize("blank", Blank)
def test_a_blank_is_an_object_and_no_part_of_one(blank: Blank) -> None:
    """Formats may take for granted what records are; and a record may quote whatever it likes."""
    assert isinstance(msgspec.json.decode(blank.value), dict)
    assert find_blanks(b'[{"inside":%b},"%b"]' % (blank.value, blank.value.replace(b'"', b'\\"'))) == {}


def test_nothing_was_blanked() -> None:
    assert find_blanks(RECORDS) == {}
    assert find_blanks(b"[]") == {}


def test_what_is_no_array() -> None:
    with pytest.raises(MalformedBody):
        blank_out(b'{"value": 1}', {0: Blank.OWN})
