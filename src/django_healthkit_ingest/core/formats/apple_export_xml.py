"""The main document of an export: read block by block, resumable at every element, whatever is wrong with one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import Enum, auto

import msgspec

from django_healthkit_ingest.core.formats.apple_export_elements import MAX_ELEMENT_BYTES, Element, Pass, read_elements
from django_healthkit_ingest.core.formats.apple_export_plain import PlainRecords, is_plain
from django_healthkit_ingest.core.formats.apple_export_repair import ILLEGAL, repaired

HEAD_BYTES = 64 * 2**10
"""Where the root element has to begin; the document type declaration before it has 10 KB."""
BLOCK_BYTES = 2**20
MAX_MENDED_BYTES = 2**20
"""Of one damaged element; larger ones are not worth the second try."""

MALFORMED = "malformed_element"
TOO_LONG = "too_long"
"""Codes of rejections."""

_ROOT = re.compile(rb"<HealthData(?:\s[^<>]*)?>")
_MARKUP = re.compile(rb"(?:\xef\xbb\xbf)?\s*<")
_LEAD = re.compile(rb"\s*?(\n[ \t]*)<")
_START = re.compile(rb"\s*(<)[A-Za-z_]")
_EXPORT_DATE = re.compile(rb"<ExportDate\s[^>]*?value\s*=\s*[\"']([^\"']*)")
_NAMES = (
    b"Record",
    b"Correlation",
    b"Workout",
    b"ActivitySummary",
    b"ClinicalRecord",
    b"Audiogram",
    b"VisionPrescription",
    b"ExportDate",
    b"Me",
)


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What the first bytes say about the document."""

    body: int
    """Where the root element's content begins. What is before it, such as the document type declaration, which was
    malformed in iOS 16, is never parsed."""
    border: re.Pattern[bytes]
    """Where reading may go on after damage: the beginning of an element of the top level, by its indentation."""
    export_date: str


class Block(msgspec.Struct, frozen=True, kw_only=True):
    elements: list[Element]
    end: int | None
    """Where reading goes on, in bytes from the document's beginning; None if it is over."""


def read_head(head: bytes) -> Head | None:
    """None if the first ``HEAD_BYTES`` of a document do not begin a ``<HealthData>``."""
    head = head.translate(ILLEGAL)
    root = _ROOT.search(head) if _MARKUP.match(head) is not None else None
    if root is None:
        return None
    lead = _LEAD.match(head, root.end())
    indentation = re.escape(lead[1]) if lead is not None else b""
    export_date = _EXPORT_DATE.search(head, root.end())
    return Head(
        body=root.end(),
        border=re.compile(indentation + rb"(<)(?:" + b"|".join(_NAMES) + rb")[\s/>]"),
        export_date=export_date[1].decode("utf-8", errors="replace") if export_date is not None else "",
    )


def fault(code: str) -> msgspec.Raw:
    """The record of what could not be read, which says why to whoever parses it."""
    return msgspec.Raw(msgspec.json.encode({"element": "", "fault": code}))


def read_blocks(read: Callable[[int], bytes], *, offset: int, head: Head) -> Iterator[Block]:
    """From ``offset`` on, which is ``head.body`` or any element's start. ``read`` gives the bytes from there on.

    Each element is read from its own beginning and damage is mended within one element, so the elements do not depend
    on where reading began nor on where the blocks end. What cannot be read is one element without a name.
    """
    carry = b""
    plain = PlainRecords()
    while True:
        piece = read(max(BLOCK_BYTES, len(carry)))
        block = carry + piece.translate(ILLEGAL)
        elements, rest, state = _read_block(block, plain=plain, base=offset, border=head.border, final=not piece)
        if state is _State.OVER:
            yield Block(elements=elements, end=None)
            return
        offset += rest
        carry = block[rest:]
        if state is _State.LOST:
            skipped, carry = _skip(read, carry, border=head.border)
            offset += skipped
            if not carry:
                yield Block(elements=elements, end=None)
                return
        yield Block(elements=elements, end=offset)


class _State(Enum):
    GOING = auto()
    OVER = auto()
    LOST = auto()
    """An element is too large, and where the next one begins is not in sight."""


def _read_block(
    block: bytes, *, plain: PlainRecords, base: int, border: re.Pattern[bytes], final: bool
) -> tuple[list[Element], int, _State]:
    """The block's elements, and where its unread rest begins."""
    elements: list[Element] = []
    start = 0
    while True:
        records, start = plain.read(block, start=start, base=base)
        elements += records
        found = read_elements(block, start=start, base=base, pause=is_plain)
        elements += found.elements
        if found.paused:
            start = found.rest
            continue
        if found.closed:
            return elements, found.rest, _State.OVER
        bad = _first_unread(block, found)
        too_long = len(block) - bad > MAX_ELEMENT_BYTES + HEAD_BYTES
        if not (found.failed or final or too_long):
            return elements, bad, _State.GOING
        following = border.search(block, bad + 1)
        if following is not None:
            start = following.start(1)
        elif not (final or too_long):
            return elements, bad, _State.GOING
        elif final:  # also where nothing is left: the document ends before its root does
            return (
                [*elements, _mended(block[bad:], start=base + bad, too_large=found.too_large)],
                len(block),
                _State.OVER,
            )
        else:
            return [*elements, Element("", base + bad, fault(TOO_LONG))], bad, _State.LOST
        elements.append(_mended(block[bad:start], start=base + bad, too_large=found.too_large))


def _first_unread(block: bytes, found: Pass) -> int:
    if found.open_at is not None:
        return found.open_at
    tag = _START.match(block, found.rest)
    return found.rest if tag is None else tag.start(1)


def _mended(element: bytes, *, start: int, too_large: bool) -> Element:
    if too_large or len(element) > MAX_ELEMENT_BYTES:
        return Element("", start, fault(TOO_LONG))
    if len(element) <= MAX_MENDED_BYTES:
        found = read_elements(repaired(element), start=0, base=0)
        if not found.failed and found.open_at is None and len(found.elements) == 1:
            return Element(found.elements[0].name, start, found.elements[0].record)
    return Element("", start, fault(MALFORMED))


def _skip(read: Callable[[int], bytes], rest: bytes, *, border: re.Pattern[bytes]) -> tuple[int, bytes]:
    """How many bytes lie before the next element, and what was read from it on; nothing at the document's end."""
    skipped = len(rest) - HEAD_BYTES
    tail = rest[skipped:]
    while piece := read(BLOCK_BYTES):
        block = tail + piece.translate(ILLEGAL)
        following = border.search(block)
        if following is not None:
            return skipped + following.start(1), block[following.start(1) :]
        skipped += len(block) - HEAD_BYTES
        tail = block[-HEAD_BYTES:]
    return skipped, b""
