"""The suite talks to this machine only: a client that was led astray must fail here, not reach somebody's account."""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

ADDRESSES = ("DATABASE_URL", "REDIS_URL", "SQS_ENDPOINT_URL")


class StrangeAddress(RuntimeError):
    """Not an OSError, which clients retry or take for an outage."""


def stay_on_this_machine() -> None:
    """For the rest of this process, unless the environment names a service elsewhere."""
    hosts = (urlsplit(os.environ.get(name, "")).hostname for name in ADDRESSES)
    if all(is_here(host) for host in hosts if host):
        sys.addaudithook(refuse_strangers)


def refuse_strangers(event: str, arguments: Sequence[object]) -> None:
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # a path is a socket of this machine
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if host is not None and not is_here(host.decode() if isinstance(host, bytes) else str(host)):
        raise StrangeAddress("A test tried to reach another machine.")


def is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
