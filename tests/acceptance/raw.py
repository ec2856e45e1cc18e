"""Bytes to a server and its answer back, without the manners of an HTTP library."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

PATIENCE = 60.0
"""Seconds until a test gives up on a server that says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)
        return told


def connect(url: str) -> socket.socket:
    address = urlsplit(url)
    assert address.hostname is not None
    return socket.create_connection((address.hostname, address.port), timeout=PATIENCE)


def head(
    *lines: str | bytes,
    token: str | None = None,
    path: str = "/health/imports/",
    method: str = "POST",
    version: str = "1.1",
) -> bytes:
    """A request's head, with these header lines."""
    first = f"{method} {path} HTTP/{version}".encode("latin-1")
    every = [first, b"Host: 127.0.0.1", *(line if isinstance(line, bytes) else line.encode() for line in lines)]
    if token is not None:
        every.append(f"Authorization: Token {token}".encode())
    return b"\r\n".join(every) + b"\r\n\r\n"


def ask(url: str, *pieces: bytes, hang_up: bool = False) -> Answer | None:
    """What the server answers; None if it closes the connection without a word.

    A server may answer before everything is sent. ``hang_up``: say that nothing more will come, as a phone does that
    goes out of reach.
    """
    with connect(url) as sock:
        try:
            for piece in pieces:
                sock.sendall(piece)
            if hang_up:
                sock.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return read_answer(sock)


def read_answer(sock: socket.socket) -> Answer | None:
    response = HTTPResponse(sock)
    try:
        response.begin()
        return Answer(status=response.status, headers=dict(response.getheaders()), body=response.read())
    except (ConnectionResetError, OSError) as error:
        if isinstance(error, TimeoutError):
            raise
        return None
    finally:
        with contextlib.suppress(OSError):
            response.close()


def chunked(pieces: Iterable[bytes], *, end: bool = True) -> bytes:
    coded = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return coded + (b"0\r\n\r\n" if end else b"")
