"""An HTTP server before the real one: the way between a phone and a server, which loses what it is told to lose."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import urlsplit

HOP_BY_HOP = ("connection", "host", "keep-alive", "transfer-encoding", "date", "server")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What somebody on the way says instead of the server."""

    status: int
    content: bytes = b"<html>"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    path: str
    """With the query."""
    headers: Mapping[str, str]
    """By names in lower case."""
    content: bytes
    status: int
    """What the client was told; 0: nothing."""

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(gzip.decompress(self.content))
        return body


class BadNetwork:
    """``requests`` is the log of what came by."""

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.requests: list[Request] = []
        self._orders: list[_Order] = []
        self._lock = threading.Lock()
        self.url = ""

    def lose_answer(self, method: str = "POST", path: str = "") -> None:
        """The server gets the next request, and the client no answer."""
        self._order(method, path, "lose")

    def cut(self, method: str = "POST", path: str = "") -> None:
        """The server does not get the next request."""
        self._order(method, path, "cut")

    def answer(
        self, status: int, method: str = "POST", path: str = "", *, content: bytes = b"<html>", **headers: str
    ) -> None:
        """Somebody else answers the next request."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._order(method, path, Answer(status=status, content=content, headers=named))

    def sent(self, method: str = "POST", path: str = "") -> list[Request]:
        with self._lock:
            return [each for each in self.requests if each.method == method and path in each.path]

    def note(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)

    def fault_for(self, method: str, path: str) -> Answer | str | None:
        with self._lock:
            for order in self._orders:
                if order.method == method and order.path in path:
                    self._orders.remove(order)
                    return order.fault
        return None

    def _order(self, method: str, path: str, fault: Answer | str) -> None:
        with self._lock:
            self._orders.append(_Order(method=method, path=path, fault=fault))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    method: str
    path: str
    fault: Answer | str


@contextmanager
def bad_network(upstream: str) -> Iterator[BadNetwork]:
    network = BadNetwork(upstream)
    server = _Listener(("127.0.0.1", 0), type("Handler", (_Handler,), {"network": network}))
    network.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="bad-network", daemon=True)
    thread.start()
    try:
        yield network
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that was cut is what was ordered."""


class _Handler(BaseHTTPRequestHandler):
    network: ClassVar[BadNetwork]

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.network.fault_for(self.command, self.path)
        answer = self._answer(fault, content)
        status = 0 if fault == "lose" else answer.status
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.network.note(Request(method=self.command, path=self.path, headers=headers, content=content, status=status))
        if status:
            self._send(answer)
        else:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def do_GET(self) -> None:
        self.do_POST()

    def _answer(self, fault: Answer | str | None, content: bytes) -> Answer:
        if isinstance(fault, Answer):
            return fault
        return Answer(status=0) if fault == "cut" else self._forward(content)

    def _forward(self, content: bytes) -> Answer:
        upstream = http.client.HTTPConnection(self.network.upstream)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        try:
            upstream.request(self.command, self.path, body=content or None, headers=headers)
            reply = upstream.getresponse()
            return Answer(status=reply.status, content=reply.read(), headers=dict(reply.getheaders()))
        finally:
            upstream.close()

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in (*HOP_BY_HOP, "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, format: str, *args: Any) -> None:
        """``BadNetwork.requests`` is the log."""
