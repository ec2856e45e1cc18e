"""A workout's route: the locations of one GPX file."""

from __future__ import annotations

from typing import Any
from xml.parsers.expat import ExpatError, ParserCreate

import msgspec

from django_healthkit_ingest.core.formats.apple_export_numbers import read_number
from django_healthkit_ingest.core.formats.apple_export_repair import ILLEGAL

MAX_ROUTE_BYTES = 32 * 2**20
"""Of one GPX file; an hour has less than 1 MB."""
_NUMBERS = frozenset({"ele", "speed", "course", "hAcc", "vAcc"})
_PIECE = 2**20

_ENCODER = msgspec.json.Encoder()


def read_route(file: str, gpx: bytes) -> dict[str, Any] | None:
    """The record of a route. None if this is no GPX, or no location in it has a time."""
    reading = _Reading()
    try:
        for start in range(0, len(gpx), _PIECE):
            reading.parser.Parse(gpx[start : start + _PIECE].translate(ILLEGAL))
        reading.parser.Parse(b"", True)  # noqa: FBT003 - it has no keywords
    except ExpatError:
        return None
    finally:
        reading.close()
    if not reading.times:
        return None
    return {
        "element": "Route",
        "startDate": reading.times[0],
        "endDate": reading.times[-1],
        "file": file,
        "locations": msgspec.Raw(b"[" + b",".join(reading.locations) + b"]"),
    }


class _Reading:
    def __init__(self) -> None:
        self.locations: list[bytes] = []
        self.times: list[str] = []
        self._location: dict[str, Any] | None = None
        self._text: list[str] = []
        self.parser = parser = ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._on_start
        parser.EndElementHandler = self._on_end
        parser.CharacterDataHandler = self._text.append
        parser.EntityDeclHandler = _refuse

    def close(self) -> None:
        """Parser and handlers hold each other: left to the garbage collector, routes would pile up."""
        parser = self.parser
        parser.StartElementHandler = parser.EndElementHandler = parser.CharacterDataHandler = None

    def _on_start(self, name: str, attributes: dict[str, str]) -> None:
        self._text.clear()
        if name == "trkpt":
            self._location = {each: read_number(attributes.get(each, "")) for each in ("lat", "lon")}

    def _on_end(self, name: str) -> None:
        location = self._location
        if location is None:
            self._text.clear()
            return
        if name == "trkpt":
            self.locations.append(_ENCODER.encode({key: value for key, value in location.items() if value is not None}))
            self._location = None
        elif name == "time":
            location[name] = time = "".join(self._text).strip()
            self.times.append(time)
        elif name in _NUMBERS:
            location[name] = read_number("".join(self._text))
        self._text.clear()


def _refuse(*declaration: object) -> None:
    raise ExpatError("a GPX file needs no entities")
