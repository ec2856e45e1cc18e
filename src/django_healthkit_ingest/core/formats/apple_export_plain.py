"""Records as Apple has always written them, nearly all of an export: read by one pattern, which beats the parser.

The pattern takes only what means the same to the XML parser, and the same bytes are made of it; whatever looks
different in the least is left to the parser.
"""

from __future__ import annotations

import re

import msgspec

from django_healthkit_ingest.core.formats.apple_export_elements import Element, read_elements

MAX_PLAIN_BYTES = 4096
MAX_REMEMBERED = 1000
"""Both bound what is remembered."""

# An attribute whose value is for the parser, once for all records that have it; and ASCII that JSON writes alike.
_ANY = rb'"[^"<\x00-\x1f]*+"'
_SAFE = rb"[ !#-%'-;=-\[\]-~]*+"
_BLANK = rb"[ \t\r\n]*+"
_FROM = rb"type=ANY sourceName=ANY(?: sourceVersion=ANY)?+"
_ENTRY = rb'BLANK<MetadataEntry key="SAFE" value="SAFE"/>'
_MEANINGS = {b"FROM": _FROM, b"ENTRY": _ENTRY, b"ANY": _ANY, b"SAFE": _SAFE, b"BLANK": _BLANK}
_RECORD = (
    rb"BLANK(?=(<))<Record (?:"
    # A device begins with an address in memory, which may be another one in each record of the same watch.
    rb'(FROM device="&lt;&lt;HKDevice: )(0x[0-9a-f]++)([^"<\x00-\x1f]*+"(?: unit=ANY)?+)'
    rb"|(FROM(?: device=ANY)?+(?: unit=ANY)?+))"
    rb' creationDate="(SAFE)" startDate="(SAFE)" endDate="(SAFE)" value="(SAFE)"'
    rb"(?:/>|>((?:ENTRY){0,50}+)BLANK</Record>)"
)


def _compiled(pattern: bytes) -> re.Pattern[bytes]:
    for name, meaning in _MEANINGS.items():
        pattern = pattern.replace(name, meaning)
    return re.compile(pattern)


_PLAIN = _compiled(_RECORD)
_PAIRS = re.compile(r'key="([^"]*)" value="([^"]*)"')
_DEVICE = b'{"device":"'
_END = b',"element":"Record"}'
_NOTHING = b""
_ENCODER = msgspec.json.Encoder()


def is_plain(block: bytes, start: int) -> bool:
    """Whether a plain record begins there, or after blanks."""
    return _PLAIN.match(block, start) is not None


class PlainRecords:
    """Reads them, and remembers what a phone repeats in thousands of records: types with sources, and metadata."""

    def __init__(self) -> None:
        self._parts: dict[bytes, bytes] = {}
        self._metadata: dict[bytes, bytes] = {}

    def read(self, block: bytes, *, start: int, base: int) -> tuple[list[Element], int]:
        """The plain records that follow each other from ``start`` on, and where the last one ends; ``base`` is the
        place of ``block`` in the file."""
        elements: list[Element] = []
        match, parts, known = _PLAIN.match, self._parts, self._metadata
        end = start
        while (found := match(block, end)) is not None:
            _, head, address, tail, whole, created, starts, ends, value, entries = found.groups(_NOTHING)
            source = parts.get(head or whole) or self._read_head(head or whole, is_cut=bool(head))
            rest = (parts.get(tail) or self._read_tail(tail)) if head else _NOTHING
            if not source or (head and not rest) or found.end() - end > MAX_PLAIN_BYTES:
                break
            metadata = known.get(entries)
            if metadata is None:
                metadata = self._read_metadata(entries)
            record = b"".join(
                (
                    source,
                    address,
                    rest,
                    b',"creationDate":"',
                    created,
                    b'","startDate":"',
                    starts,
                    b'","endDate":"',
                    ends,
                    b'","value":"',
                    value,
                    b'","element":"Record"',
                    metadata,
                    b"}",
                )
            )
            elements.append(Element("Record", found.start(1) + base, msgspec.Raw(record)))
            end = found.end()
        return elements, end

    def _read_head(self, attributes: bytes, *, is_cut: bool) -> bytes:
        """The JSON of the attributes before the address, or of all before the dates. Empty if they are no XML."""
        record = _record_of(attributes + b'"' if is_cut else attributes)
        return self._remember(attributes, record.removesuffix(b'"') if is_cut else record)

    def _read_tail(self, attributes: bytes) -> bytes:
        """The JSON of the attributes behind the address. Empty if they are no XML."""
        return self._remember(attributes, _record_of(b'device="' + attributes).removeprefix(_DEVICE))

    def _remember(self, attributes: bytes, part: bytes) -> bytes:
        if len(self._parts) >= MAX_REMEMBERED:
            self._parts.clear()
        self._parts[attributes] = part
        return part

    def _read_metadata(self, entries: bytes) -> bytes:
        pairs = dict(_PAIRS.findall(entries.decode("ascii")))
        if len(self._metadata) >= MAX_REMEMBERED:
            self._metadata.clear()
        self._metadata[entries] = metadata = b',"metadata":' + _ENCODER.encode(pairs) if pairs else _NOTHING
        return metadata


def _record_of(attributes: bytes) -> bytes:
    """What the parser makes of a record with these attributes, without its end. Empty for what is no XML."""
    found = read_elements(b"<Record %b/>" % attributes, start=0, base=0)
    if found.failed or len(found.elements) != 1:
        return _NOTHING
    return bytes(found.elements[0].record).removesuffix(_END)
