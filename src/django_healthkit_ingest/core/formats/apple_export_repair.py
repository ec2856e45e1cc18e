"""Damage that Apple's own exports have had: what can be read all the same."""

from __future__ import annotations

import re

ILLEGAL = bytes(32 if code < 32 and code not in (9, 10, 13) else code for code in range(256))
"""For ``bytes.translate``: the control characters XML forbids become spaces, so that every offset stays."""

_TAG = re.compile(rb"<[A-Za-z_][^<]*>")
_NAME = re.compile(rb"<[A-Za-z_][^\s/>]*")
_ATTRIBUTE = re.compile(rb"([^=<>\"']++)=\s*+(\"[^\"]*+\"|'[^']*+')")
_ILLEGAL_REFERENCE = re.compile(rb"&#(?:0*(?:[0-8]|1[124-9]|2[0-9]|3[01])|x0*(?:[0-8bcBC]|[ef]|[EF]|1[0-9a-fA-F]));")
_BARE_AMPERSAND = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos|#[0-9]+|#x[0-9a-fA-F]+);)")
_BLANKS = re.compile(rb"\s+")
_SECOND = {b"startDate": b"endDate"}
"""iOS 16 wrote ``startDate`` twice on WorkoutStatistics; the second is the end."""


def repaired(element: bytes) -> bytes:
    """The element with its attributes made legal, for a second try; not of the same length.

    Names with spaces (2015) are joined, an attribute that comes twice keeps its first value, references to illegal
    characters become spaces, bare ampersands are escaped, and bytes that are not UTF-8 become U+FFFD.
    """
    text = element.decode("utf-8", errors="replace").encode()
    text = _ILLEGAL_REFERENCE.sub(b" ", text)
    text = _BARE_AMPERSAND.sub(b"&amp;", text)
    return _TAG.sub(lambda tag: _repaired_tag(tag[0]), text)


def _repaired_tag(tag: bytes) -> bytes:
    name = _NAME.match(tag)
    if name is None:
        return tag
    attributes: dict[bytes, bytes] = {}
    position = name.end()
    while found := _ATTRIBUTE.match(tag, position):
        position = found.end()
        key = _BLANKS.sub(b"", found[1])
        if key in attributes:
            key = _SECOND.get(key, key)
        attributes.setdefault(key, found[2])
    if tag[position:].strip() not in (b">", b"/>"):
        return tag
    listed = b"".join(b" %s=%s" % (key, value) for key, value in attributes.items())
    return name[0] + listed + tag[position:].strip()
