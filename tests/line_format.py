"""A host's own file format: one record of the ``healthkit`` format per line, and ways for its files to be trouble."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, ClassVar

import msgspec

from django_healthkit_ingest.core.formats.base import Portion
from django_healthkit_ingest.core.formats.healthkit import HealthKitFormat
from django_healthkit_ingest.core.samples import Section
from django_healthkit_ingest.exceptions import MalformedBody
from django_healthkit_ingest.testing.payloads import quantity

SETTING: dict[str, Any] = {"FORMATS": ["tests.line_format.LineFormat"], "CHUNK_SIZE": 2}


class LineFormat(HealthKitFormat):
    name = "lines"
    trouble: ClassVar[dict[str, Exception]] = {}
    """By line: what the storage raises when the reader comes there."""

    def recognises(self, body: bytes) -> bool:
        return False

    def read_file(self, file: BinaryIO, *, position: Mapping[str, Any], size: int) -> Iterator[Portion]:
        file.seek(position.get("offset", 0))
        raws: list[msgspec.Raw] = []
        for line in iter(file.readline, b""):
            text = line.strip()
            if text.startswith(b"!"):
                raise MalformedBody("The file is no list of records; send another one.")
            if text.decode() in self.trouble:
                raise self.trouble[text.decode()]
            if text.startswith(b"{"):
                raws.append(msgspec.Raw(text))
            if len(raws) == size:
                yield _portion(raws, file)
                raws = []
        yield _portion(raws, file)


def _portion(raws: list[msgspec.Raw], file: BinaryIO) -> Portion:
    return Portion(section=Section.SAMPLES, records=raws, position={"offset": file.tell()})


def lines(number: int, *others: bytes) -> bytes:
    """A file of so many heart rates, then the other lines."""
    records = (msgspec.json.encode(quantity(value=60 + each)) for each in range(number))
    return b"".join(line + b"\n" for line in (*records, *others))
