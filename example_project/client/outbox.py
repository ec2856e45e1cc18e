"""What was read from the phone and is not known to have arrived: files, so that no crash and no update loses it.

``<order>_<sha256>.json.gz`` is a body, in its name its place and its idempotency key. ``<order>_<sha256>.tried`` beside
it: it was sent, and whether it arrived is not known. ``parked/`` has the bodies that were refused for good, each with
the problem. ``anchors.json`` is where the next query of each type starts: there as soon as the app has ever read.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from example_project.client.bodies import Body, encode

SUFFIX = ".json.gz"


@dataclass(frozen=True, slots=True)
class Parcel:
    """One body that waits. The key is its content's digest, so the same bytes are never two imports."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name.removesuffix(SUFFIX)

    @property
    def order(self) -> str:
        return self.name.partition("_")[0]

    @property
    def key(self) -> str:
        return self.name.partition("_")[2]

    @property
    def content(self) -> bytes:
        """As it is sent: compressed."""
        return self.path.read_bytes()

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(gzip.decompress(self.content))
        return body

    @property
    def mark(self) -> Path:
        return self.path.with_name(f"{self.name}.tried")


class Outbox:
    """One installation's. Whatever a method has returned from is on the disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parked = folder / "parked"
        self.parked.mkdir(parents=True, exist_ok=True)
        for unfinished in folder.glob("*.unfinished"):
            unfinished.unlink()
        self._anchors = folder / "anchors.json"
        self._last = 0

    def waiting(self) -> list[Parcel]:
        """In the order in which they must be sent: an anchor stands for everything before it."""
        return [Parcel(path) for path in sorted(self.folder.glob(f"*{SUFFIX}"))]

    def put(self, *bodies: Body) -> None:
        """Each gets a ``sequence`` of its own, or a body that happens to say what an old one said would be taken for
        its repeat."""
        for body in bodies:
            self._last = max(self._last + 1, time.time_ns() // 1000)
            self._write(f"{self._last:020}", {**body, "sequence": self._last})

    def replace(self, parcel: Parcel, *bodies: Body) -> None:
        """In its place. A crash on the way leaves both, which says nothing twice: the server knows each record."""
        for number, body in enumerate(bodies):
            self._write(f"{parcel.order}.{number}", body)
        self.drop(parcel)

    def drop(self, parcel: Parcel) -> None:
        """It has arrived."""
        parcel.path.unlink()
        parcel.mark.unlink(missing_ok=True)

    def park(self, parcel: Parcel, problem: object) -> None:
        save(self.parked / f"{parcel.name}.problem.json", json.dumps(problem).encode())
        parcel.path.rename(self.parked / parcel.path.name)
        parcel.mark.unlink(missing_ok=True)

    def has_parked(self) -> bool:
        return any(self.parked.glob(f"*{SUFFIX}"))

    def unpark(self) -> None:
        """A new version of the app, or of the server, may have better luck."""
        for path in self.parked.glob(f"*{SUFFIX}"):
            path.rename(self.folder / path.name)
            (self.parked / f"{path.name.removesuffix(SUFFIX)}.problem.json").unlink()

    @property
    def anchors(self) -> dict[str, str] | None:
        """None before ``keep_anchors`` was ever called: the app is new here."""
        try:
            anchors: dict[str, str] = json.loads(self._anchors.read_bytes())
        except FileNotFoundError:
            return None
        return anchors

    def keep_anchors(self, anchors: Mapping[str, str]) -> None:
        """Only after what they stand for was put: a crash between the two reads it again."""
        save(self._anchors, json.dumps(anchors).encode())

    def _write(self, order: str, body: Body) -> None:
        content = encode(body)
        digest = hashlib.sha256(content).hexdigest()
        save(self.folder / f"{order}_{digest}{SUFFIX}", gzip.compress(content))


def save(path: Path, content: bytes) -> None:
    """All of it or nothing."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
