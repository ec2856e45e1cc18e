"""The zip file of an export: which member is what, whatever language its names are in, and within which limits."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from django_healthkit_ingest.core.formats.apple_export_xml import HEAD_BYTES, Head, read_head
from django_healthkit_ingest.exceptions import MalformedBody

MAX_MEMBERS = 200_000
"""An export has one member per outdoor workout, electrocardiogram and clinical record."""
MAX_DIRECTORY_BYTES = 64 * 2**20
MAX_DOCUMENT_BYTES = 64 * 2**30
"""Of ``export.xml`` after decompression; it is streamed, so this bounds time and not memory."""
MAX_RATIO = 500
"""An export shrinks to a twentieth, DEFLATE at most to a thousandth."""
RATIO_FREE_BYTES = 2**20

_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_MAX_COMMENT = 2**16
_ENCRYPTED = 1
_MAX_LOOKS = 1000
_UNREADABLE = (BadZipFile, zlib.error, EOFError, struct.error, OverflowError, NotImplementedError, UnicodeDecodeError)


class Archive:
    """Raises MalformedBody if there is no Apple Health export in ``file``."""

    def __init__(self, file: BinaryIO) -> None:
        _check_directory(file)
        try:
            self._zip = ZipFile(file)
            members = [each for each in self._zip.infolist() if _is_readable(each)]
        except (*_UNREADABLE, ValueError):
            raise MalformedBody("the zip file is damaged or incomplete; send the whole export.zip again") from None
        self.document, self.head = self._find_document(members)
        folder = self.document.filename.rpartition("/")[0]
        self.files = {each.filename.removeprefix(folder): each for each in members}
        """By path from the document's folder, as ``FileReference`` and ``resourceFilePath`` name them."""
        self.routes = tuple(path for path in self.files if path.lower().endswith(".gpx"))
        self.tables = tuple(path for path in self.files if path.lower().endswith(".csv"))

    def open_document(self, *, offset: int) -> Callable[[int], bytes]:
        """Reads on from there. Where the data are damaged they end, and so does the document."""
        try:
            member = self._zip.open(self.document)
            member.seek(offset)
        except _UNREADABLE:
            return lambda size: b""

        def read(size: int) -> bytes:
            try:
                return member.read(size)
            except _UNREADABLE:
                return b""

        return read

    def read(self, path: str, *, max_bytes: int) -> bytes | None:
        """None if there is no such file, or it is damaged or longer."""
        info = self.files.get(path)
        if info is None or info.file_size > max_bytes:
            return None
        try:
            with self._zip.open(info) as member:
                return member.read(max_bytes)
        except _UNREADABLE:
            return None

    def _find_document(self, members: list[ZipInfo]) -> tuple[ZipInfo, Head]:
        for info in _likely_first(members):
            try:
                with self._zip.open(info) as member:
                    head = read_head(member.read(HEAD_BYTES))
            except _UNREADABLE:
                continue
            if head is not None:
                return info, head
        raise MalformedBody("no Apple Health export in this zip file; send the export.zip that the Health app makes")


def is_zip(head: bytes) -> bool:
    return head.startswith(_MAGIC)


def _likely_first(members: list[ZipInfo]) -> Iterator[ZipInfo]:
    documents = [each for each in members if each.filename.lower().endswith(".xml")]
    others = [each for each in members if not each.filename.lower().endswith((".xml", ".gpx", ".csv", ".json"))]
    yield from (documents + others)[:_MAX_LOOKS]


def _is_readable(info: ZipInfo) -> bool:
    if info.is_dir() or info.filename.startswith("__MACOSX/") or info.flag_bits & _ENCRYPTED:
        return False
    if info.header_offset < 0:  # the list of members is damaged
        return False
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED) or info.file_size > MAX_DOCUMENT_BYTES:
        return False
    return info.file_size <= max(RATIO_FREE_BYTES, MAX_RATIO * info.compress_size)


def _check_directory(file: BinaryIO) -> None:
    """Before ``zipfile`` reads the whole list of members into memory."""
    length = file.seek(0, 2)
    begin = max(0, length - _END.size - _MAX_COMMENT)
    file.seek(begin)
    tail = file.read(_END.size + _MAX_COMMENT)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise MalformedBody("the zip file is incomplete; send the whole export.zip again")
    _, _, _, _, members, size, _, _ = _END.unpack_from(tail, at)
    at += begin - _LOCATOR.size
    if at >= 0:
        file.seek(at)
        magic, _, where, _ = _LOCATOR.unpack(file.read(_LOCATOR.size))
        if magic == b"PK\x06\x07" and where <= length - _END_64.size:
            file.seek(where)
            _, _, _, _, _, _, _, members, size, _ = _END_64.unpack(file.read(_END_64.size))
    if members > MAX_MEMBERS or size > MAX_DIRECTORY_BYTES:
        raise MalformedBody("the zip file has too many members for an export; send the export.zip as it was made")
