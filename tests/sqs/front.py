"""An HTTP server before an SQS endpoint that writes down every call and breaks the ones it is told to."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, urlsplit

EVERY_ACTION = "*"
FORWARDED_HEADERS = ("Content-Type", "X-Amz-Target", "Authorization", "X-Amz-Date", "X-Amz-Content-SHA256")


class Fault(Enum):
    """What happens instead of an answer; the statuses carry the error code that SQS sends with them."""

    UNAVAILABLE = (503, "ServiceUnavailable")
    INTERNAL = (500, "InternalFailure")
    DENIED = (403, "AccessDenied")
    THROTTLED = (400, "RequestThrottled")
    HANG = (0, "hang")
    RESET = (0, "reset")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    action: str
    at: float
    """Of the monotonic clock."""
    body: bytes
    fault: Fault | None

    @property
    def parameters(self) -> dict[str, Any]:
        if self.body.startswith(b"{"):
            parameters: dict[str, Any] = json.loads(self.body)
            return parameters
        return {key: values[0] for key, values in parse_qs(self.body.decode()).items()}

    @property
    def message(self) -> dict[str, Any]:
        """The Celery message of a SendMessage: ``headers``, ``properties`` and so on, with the decoded ``body``."""
        envelope: dict[str, Any] = json.loads(base64.b64decode(self.parameters["MessageBody"]))
        envelope["body"] = json.loads(base64.b64decode(envelope["body"]))
        return envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What SQS said to a call that was passed on."""

    call: Call
    at: float
    """Of the monotonic clock."""
    body: bytes


@dataclass(slots=True, kw_only=True)
class Order:
    action: str
    fault: Fault
    times: int | None


class Front:
    """Listens on a loopback port of its own from ``with`` on."""

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.released = threading.Event()
        self._calls: list[Call] = []
        self._answers: list[Answer] = []
        self._orders: list[Order] = []
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._server = self._listen(port=0)
        self.port: int = self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def calls(self) -> list[Call]:
        with self._lock:
            return list(self._calls)

    @property
    def answers(self) -> list[Answer]:
        """In the order they came."""
        with self._lock:
            return list(self._answers)

    def count(self, action: str) -> int:
        return sum(call.action == action for call in self.calls)

    def faults(self, action: str) -> int:
        return sum(call.action == action and call.fault is not None for call in self.calls)

    def breaks(self, action: str, fault: Fault, *, times: int | None = None) -> None:
        """Break the next ``times`` calls of ``action`` (or of EVERY_ACTION), or all of them until ``heal``."""
        with self._lock:
            self._orders.append(Order(action=action, fault=fault, times=times))

    def heal(self, *, cutting: bool = True) -> None:
        """Answer again. Calls that hang are cut off, or go on hanging, as a connection does that was lost half-way."""
        with self._lock:
            self._orders.clear()
        if cutting:
            self.released.set()
            self.released = threading.Event()

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Within the block nothing listens on the port, and the connections there were are cut."""
        self._close()
        try:
            yield
        finally:
            self._server = self._listen(port=self.port)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def note(self, call: Call) -> None:
        with self._lock:
            self._calls.append(call)

    def note_answer(self, answer: Answer) -> None:
        with self._lock:
            self._answers.append(answer)

    def fault_for(self, action: str) -> Fault | None:
        with self._lock:
            for order in self._orders:
                if order.action in {action, EVERY_ACTION} and order.times != 0:
                    if order.times is not None:
                        order.times -= 1
                    return order.fault
        return None

    @contextmanager
    def holding(self, connection: socket.socket) -> Iterator[None]:
        with self._lock:
            self._connections.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._connections.discard(connection)

    def _listen(self, *, port: int) -> ThreadingHTTPServer:
        handler = type("Handler", (Handler,), {"front": self})
        server = Listener(("127.0.0.1", port), handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), name="front", daemon=True).start()
        return server

    def _close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.released.set()
        self.released = threading.Event()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with suppress(OSError):  # its client was faster
                connection.shutdown(socket.SHUT_RDWR)


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no news."""


class Handler(BaseHTTPRequestHandler):
    front: ClassVar[Front]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        target = self.headers.get("X-Amz-Target")
        action = target.rpartition(".")[2] if target else parse_qs(body.decode()).get("Action", ["?"])[0]
        fault = self.front.fault_for(action)
        released = self.front.released
        call = Call(action=action, at=time.monotonic(), body=body, fault=fault)
        self.front.note(call)
        with self.front.holding(self.connection):
            if fault is None:
                self._forward(call)
            elif fault is Fault.HANG:
                released.wait()
                self.close_connection = True
            elif fault is Fault.RESET:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            else:
                status, code = fault.value
                self._answer(status, json.dumps({"__type": code, "message": code}).encode())

    def _forward(self, call: Call) -> None:
        upstream = http.client.HTTPConnection(self.front.upstream)
        headers = {name: self.headers[name] for name in FORWARDED_HEADERS if name in self.headers}
        try:
            upstream.request("POST", self.path, body=call.body, headers=headers)
            answer = upstream.getresponse()
            body = answer.read()
            self.front.note_answer(Answer(call=call, at=time.monotonic(), body=body))
            self._answer(answer.status, body, kind=answer.headers.get_content_type())
        except (OSError, http.client.HTTPException):
            self._answer(502, b"{}")
        finally:
            upstream.close()

    def _answer(self, status: int, body: bytes, *, kind: str = "application/x-amz-json-1.0") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """``Front.calls`` is the log."""


def wait_until(happened: Callable[[], bool], *, timeout: float) -> bool:
    """Whether it happened within ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
