from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial

from example_project.services.errors import ServiceFailed
from example_project.services.supervise import Supervised

ATTEMPTS = 3


def free_port() -> int:
    """A loopback TCP port nobody listens on now; somebody may take it before it is used, see :func:`listen`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def accepts_connections(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def listen(start: Callable[[int], Supervised], *, ready: Callable[[Supervised, int], bool]) -> tuple[Supervised, int]:
    """Start a server on a free port and wait until it is ready; another port if somebody was faster."""
    for attempt in range(1, ATTEMPTS + 1):
        port = free_port()
        server = start(port)
        try:
            server.wait_until(partial(ready, server, port))
        except BaseException as error:
            server.stop()
            port_was_taken = isinstance(error, ServiceFailed) and "in use" in str(error)
            if attempt < ATTEMPTS and port_was_taken:
                continue
            raise
        return server, port
    raise AssertionError("the last attempt returns or raises")
