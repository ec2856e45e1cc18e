from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from example_project.services.ports import listen
from example_project.services.postgresql_binaries import (
    Account,
    Binaries,
    find_binaries,
    new_folder,
    reachable,
    unprivileged_account,
)
from example_project.services.supervise import Supervised, start

DATA = "data"
# A test database is thrown away: nothing in it has to survive a power cut.
UNSAFE_AND_FAST: dict[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    url: str
    origin: str
    """``environment``, ``wheel`` or ``system``."""


@contextmanager
def postgresql(*, durable: bool = False, settings: Mapping[str, str] | None = None) -> Iterator[Postgres]:
    """The server of DATABASE_URL, else one of our own in a temporary folder, gone afterwards.

    ``durable`` keeps fsync on, as a real server has it; ``settings`` are for our own one. Raises ServiceFailed.
    """
    if url := os.environ.get("DATABASE_URL"):
        yield Postgres(url=url, origin="environment")
        return
    with own_postgresql(durable=durable, settings=settings) as server:
        yield server


@contextmanager
def own_postgresql(*, durable: bool = False, settings: Mapping[str, str] | None = None) -> Iterator[Postgres]:
    """A server of our own, whatever the environment says. Raises ServiceFailed."""
    binaries = find_binaries()
    account = unprivileged_account()
    password = secrets.token_urlsafe(24)

    def launch(port: int) -> Supervised:
        return start_server(binaries, account=account, port=port, password=password, durable=durable, settings=settings)

    server, port = listen(launch, ready=is_ready)
    with server:
        yield Postgres(url=f"postgres://postgres:{password}@127.0.0.1:{port}/postgres", origin=binaries.origin)


def start_server(
    binaries: Binaries,
    *,
    account: Account | None,
    port: int,
    password: str,
    durable: bool,
    settings: Mapping[str, str] | None = None,
) -> Supervised:
    folder = new_folder(account)
    binaries = reachable(binaries, folder=folder, account=account)
    password_file = folder / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    if account is not None:
        os.chown(password_file, account.uid, account.gid)
    data = folder / DATA
    initdb: list[str | Path] = [
        binaries.initdb,
        f"--pgdata={data}",
        "--username=postgres",
        "--auth=scram-sha-256",
        f"--pwfile={password_file}",
        "--encoding=UTF8",
        "--locale=C",
        *([] if durable else ["--no-sync"]),
    ]
    # No unix socket: its path would be too long below some temporary folders, and TCP is what hosts use.
    options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
    options |= {**({} if durable else UNSAFE_AND_FAST), **(settings or {})}
    postgres: list[str | Path] = [binaries.postgres, "-D", data, "-p", str(port)]
    for name, value in options.items():
        postgres += ["-c", f"{name}={value}"]
    return start(
        postgres,
        name="PostgreSQL",
        log=folder / "postgresql.log",
        before=[initdb],
        cwd=folder,
        user=account.uid if account else None,
        group=account.gid if account else None,
        stop_signal=signal.SIGINT,  # "fast": open transactions are rolled back, not waited for
        remove=[folder],
    )


def is_ready(server: Supervised, port: int) -> bool:
    """As ``pg_ctl --wait`` decides it: the last line of the server's pid file."""
    try:
        lines = (server.log.parent / DATA / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return bool(lines) and lines[-1].strip() == "ready"  # the file is there before its first line is
