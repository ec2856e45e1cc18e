"""A transaction pooler in miniature: what pgbouncer's ``pool_mode = transaction`` does to a connection.

Every transaction of a client is handed the server connection that has rested longest, so two transactions in a row
never share one. Speaks as much of PostgreSQL's protocol 3.0 as a client that waits for each answer needs
(www.postgresql.org/docs/current/protocol-message-formats.html).
"""

from __future__ import annotations

import os
import queue
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg

STARTUP = 196608
IDLE = b"I"
REPORTED = (b"server_version", b"server_encoding", b"client_encoding", b"standard_conforming_strings", b"TimeZone")


class Pooler:
    """``port`` to connect to; ``transactions`` counts what each server connection was given."""

    def __init__(self, connections: list[psycopg.Connection[Any]]) -> None:
        self.transactions: Counter[int] = Counter()
        self._parameters = {
            name: value for name in REPORTED if (value := connections[0].pgconn.parameter_status(name)) is not None
        }
        self._resting: queue.SimpleQueue[socket.socket] = queue.SimpleQueue()
        for connection in connections:
            server = socket.socket(fileno=os.dup(connection.pgconn.socket))
            server.setblocking(True)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._resting.put(server)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client:
            if not self._greet(client):
                return
            while message := _message(client):
                if message[:1] == b"X":
                    return
                server = self._resting.get(timeout=30)
                self.transactions[server.fileno()] += 1
                try:
                    server.sendall(message)
                    self._relay(client, server)
                finally:
                    self._resting.put(server)

    def _greet(self, client: socket.socket) -> bool:
        while head := _exactly(client, 8):
            length, code = struct.unpack("!II", head)
            if code == STARTUP:
                _exactly(client, length - 8)
                break
            client.sendall(b"N")  # neither TLS nor GSSAPI here
        else:
            return False
        answer = _packed(b"R", struct.pack("!I", 0))
        for name, value in self._parameters.items():
            answer += _packed(b"S", name + b"\0" + value + b"\0")
        client.sendall(answer + _packed(b"K", bytes(8)) + _packed(b"Z", IDLE))
        return True

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        """Until the server says that no transaction is open; the client's side flows in a thread of its own."""
        over = threading.Event()

        def forward() -> None:
            client.settimeout(0.005)
            while not over.is_set():
                try:
                    server.sendall(client.recv(1 << 16))
                except TimeoutError:
                    continue

        forwarder = threading.Thread(target=forward, daemon=True)
        forwarder.start()
        while message := _message(server):
            if message[:1] == b"Z" and message[-1:] == IDLE:
                over.set()
                forwarder.join()
                client.settimeout(None)
                client.sendall(message)
                return
            client.sendall(message)


@contextmanager
def transaction_pooler(*, servers: int, **connect: Any) -> Iterator[Pooler]:
    """A pooler over that many server connections; ``connect`` is what ``psycopg.connect`` takes."""
    with ExitStack() as stack:
        connections = [stack.enter_context(psycopg.connect(**connect, autocommit=True)) for _ in range(servers)]
        pooler = Pooler(connections)
        stack.callback(pooler.close)
        yield pooler


def _packed(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def _message(peer: socket.socket) -> bytes:
    head = _exactly(peer, 5)
    return head + _exactly(peer, struct.unpack("!I", head[1:])[0] - 4) if head else b""


def _exactly(peer: socket.socket, size: int) -> bytes:
    """So many bytes, or none at the end of the stream."""
    parts = b""
    while len(parts) < size:
        part = peer.recv(size - len(parts))
        if not part:
            return b""
        parts += part
    return parts
