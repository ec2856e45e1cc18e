"""One pass of the XML parser: from bytes inside ``<HealthData>`` to one JSON object per element of the top level."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from xml.parsers.expat import ExpatError, ParserCreate

import msgspec

MAX_ELEMENT_BYTES = 8 * 2**20
"""Of one element of the top level; a workout of 2018 with the locations of ten hours has 7 MB."""
MAX_NODES = 100_000
"""Elements inside one of the top level: eight bytes of XML cost a hundred times as many of memory."""
MAX_DEPTH = 16
"""HealthKit's own elements need 5."""

_ROOT = b"<HealthData>"
_FIRST_PIECE = 4096
"""Each piece is twice the one before: a pass that fails soon must cost little, for a hostile document fails at every
element, and a long attribute must not be scanned anew for each of many pieces."""
_TAG = re.compile(rb"<[^>\"']*(?:\"[^\"]*\"[^>\"']*|'[^']*'[^>\"']*)*>")
_ENCODER = msgspec.json.Encoder()


class Element(msgspec.Struct, frozen=True, gc=False):
    name: str
    """Empty for what could not be read."""
    start: int
    """Where its tag begins, in bytes."""
    record: msgspec.Raw


class Pass(msgspec.Struct, frozen=True, gc=False):
    elements: list[Element]
    rest: int
    """Where the last whole element ends."""
    open_at: int | None
    """Where an element begins that has not ended."""
    failed: bool
    """Whether something after ``rest`` is no XML, or too large to be read."""
    too_large: bool
    closed: bool
    """``</HealthData>`` was there."""
    paused: bool
    """Nothing is wrong, and somebody else can read on at ``rest``."""


class _TooLarge(Exception):
    pass


def read_elements(block: bytes, *, start: int, base: int, pause: Callable[[bytes, int], bool] | None = None) -> Pass:
    """``block[start:]`` begins between two elements of the top level; ``base`` is the place of ``block`` in the file.
    It is read to its end, or to the end of an element where ``pause`` says so, which is not asked at each of them.

    An element becomes ``{"element": its name, ..its attributes.., "metadata": {..}, "children": [..]}``. Text between
    tags is left out, for Apple writes none. No entity is declared, so none is ever expanded.
    """
    reading = _Reading(start=start, base=base)
    at, size = start, _FIRST_PIECE
    rest = start
    paused = False
    while at < len(block) and reading.goes_on() and not paused:
        reading.feed(block[at : at + size])
        at += size
        size *= 2
        if reading.last is not None and reading.last >= rest:
            tag = _TAG.match(block, reading.last)
            rest = tag.end() if tag is not None else reading.last
            paused = pause is not None and reading.goes_on() and pause(block, rest)
    reading.close()
    open_at = reading.begins[-1] if reading.stack else None
    return Pass(reading.elements, rest, open_at, reading.failed, reading.too_large, reading.closed, paused)


class _Reading:
    """Handlers and their state. A new parser for each pass, since it keeps every name that it ever saw."""

    def __init__(self, *, start: int, base: int) -> None:
        self.elements: list[Element] = []
        self.stack: list[dict[str, Any]] = []
        self.begins: list[int] = []
        self.last: int | None = None
        self.closed = False
        self.failed = False
        self.too_large = False
        self._nodes = 0
        self._base = base
        self._shift = start - len(_ROOT)
        self._parser = parser = ParserCreate("UTF-8")
        if hasattr(parser, "SetReparseDeferralEnabled"):  # missing in the first patch releases of 3.11 and 3.12
            parser.SetReparseDeferralEnabled(False)  # noqa: FBT003 - a whole element never waits for more bytes
        parser.Parse(_ROOT)
        parser.StartElementHandler = self._on_start
        parser.EndElementHandler = self._on_end

    def goes_on(self) -> bool:
        return not self.failed and not self.closed

    def feed(self, piece: bytes) -> None:
        try:
            self._parser.Parse(piece)
        except ExpatError:
            self.failed = not self.closed
        except _TooLarge:
            self.failed = self.too_large = True

    def close(self) -> None:
        """Parser and handlers hold each other: left to the garbage collector, blocks would pile up."""
        self._parser.StartElementHandler = self._parser.EndElementHandler = None

    def _on_start(self, name: str, attributes: dict[str, Any]) -> None:
        attributes["element"] = name
        stack = self.stack
        if not stack:
            self.begins.append(self._parser.CurrentByteIndex + self._shift)
            self._nodes = 0
        else:
            self._nodes += 1
            if self._nodes > MAX_NODES or len(stack) >= MAX_DEPTH:
                raise _TooLarge
            parent = stack[-1]
            if name == "MetadataEntry":
                entries = parent.get("metadata")
                if type(entries) is not dict:
                    entries = parent["metadata"] = {}
                entries[attributes.get("key", "")] = attributes.get("value", "")
            else:
                children = parent.get("children")
                if type(children) is not list:
                    children = parent["children"] = []
                children.append(attributes)
        stack.append(attributes)

    def _on_end(self, name: str) -> None:
        if not self.stack:
            self.closed = True
            return
        node = self.stack.pop()
        if not self.stack:
            begin, end = self.begins[-1], self._parser.CurrentByteIndex + self._shift
            if end - begin > MAX_ELEMENT_BYTES:
                self.stack.append(node)
                raise _TooLarge
            self.elements.append(Element(name, begin + self._base, msgspec.Raw(_ENCODER.encode(node))))
            self.last = end
