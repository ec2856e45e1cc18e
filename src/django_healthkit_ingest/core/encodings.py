"""Compressed bodies in, compressed chunk payloads out."""

from __future__ import annotations

import sys
import zlib

from django_healthkit_ingest.exceptions import BodyTooLarge, CorruptEncoding, PayloadUnavailable, UnsupportedEncoding

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_GZIP = 16 + zlib.MAX_WBITS
_SLICE = 64 * 1024
"""What follows the first member is fed in slices because zlib copies all that follows a member: a body of many tiny
members would cost its square. Nearly every body is one member, and quicker read at once."""
_MAX_MEMBERS = 10_000


def decode_body(body: bytes, *, content_encoding: str | None, max_bytes: int) -> bytes:
    """The body without its ``Content-Encoding``; never more than ``max_bytes`` are decompressed.

    Raises BodyTooLarge, CorruptEncoding, UnsupportedEncoding.
    """
    match (content_encoding or "").strip().lower():
        case "" | "identity":
            if len(body) > max_bytes:
                raise _too_large(max_bytes)
            return body
        case "gzip" | "x-gzip":
            return _gunzip(body, max_bytes=max_bytes)
    raise UnsupportedEncoding("send the body as it is or with Content-Encoding: gzip")


def compress(payload: bytes) -> bytes:
    """zstd level 1: the compression is paid in the request, and lower levels of zlib take four times as long."""
    return zstd.compress(payload, level=1)


def decompress(payload: bytes | memoryview) -> bytes:
    """Raises PayloadUnavailable if these are not bytes that ``compress`` made."""
    try:
        return zstd.decompress(payload)
    except zstd.ZstdError as error:
        raise PayloadUnavailable("the stored payload is damaged; ask the client to send the batch again") from error


def _gunzip(body: bytes, *, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    room = max_bytes + 1
    position = members = 0
    while position < len(body):
        members += 1
        if members > _MAX_MEMBERS:
            raise CorruptEncoding("the gzip data has too many members; compress the body in one piece")
        member = zlib.decompressobj(wbits=_GZIP)
        while not member.eof:
            piece = member.unconsumed_tail
            if not piece:
                piece = body if members == 1 and not position else body[position : position + _SLICE]
                position += len(piece)
            if not piece:
                raise CorruptEncoding("the gzip data ends too early; send the whole body again")
            part = _inflate(member, piece, room=room)
            parts.append(part)
            room -= len(part)
            if room <= 0:
                raise _too_large(max_bytes)
        position -= len(member.unused_data)
    if not members:
        raise CorruptEncoding("the body is empty but is declared as gzip")
    return b"".join(parts)


def _inflate(member: zlib._Decompress, piece: bytes, *, room: int) -> bytes:
    try:
        return member.decompress(piece, room)
    except zlib.error as error:
        raise CorruptEncoding("the body is not valid gzip data; send it again, or uncompressed") from error


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body has more than {max_bytes} bytes when decoded; split it")
