"""The wire to a server, to be cut and mended."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

HOST = "127.0.0.1"


class Relay:
    """Listens on ``port`` and passes everything on to the same machine's ``upstream`` port, both ways."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self._ends: list[socket.socket] = []
        self._pumps: list[threading.Thread] = []
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Nothing is there: what was connected is reset, and what connects is refused."""
        self.close()
        try:
            yield
        finally:
            self._listener = self._listen(self.port)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for pump in self._pumps:
            pump.join()
        for end in self._ends:
            end.close()
        self._ends, self._pumps = [], []

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server((HOST, port), backlog=128)
        self._accepting = threading.Thread(target=self._accept, args=[listener], daemon=True)
        self._accepting.start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((HOST, self.upstream))
            except OSError:
                client.close()
                continue
            self._ends += (client, server)
            for source, sink in ((client, server), (server, client)):
                self._pumps.append(threading.Thread(target=self._pump, args=[source, sink], daemon=True))
                self._pumps[-1].start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(65_536):
                sink.sendall(piece)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def relay(upstream: int) -> Iterator[Relay]:
    running = Relay(upstream)
    try:
        yield running
    finally:
        running.close()
