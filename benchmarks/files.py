"""Files: an export.xml from the first byte to the last row, what reading it costs, and the memory that takes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import services, xml_cpu
from benchmarks.measure import Figure
from benchmarks.sections import Scale


def figures(*, scale: Scale) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="healthkit-bench-") as folder:
        os.environ["MEDIA_ROOT"] = folder
        yield from xml_cpu.figures(Path(folder), scale=scale)
        with services.road() as sqs:
            from benchmarks import memory, xml_import  # they import models

            yield from xml_import.figures(sqs, Path(folder), scale=scale)
            yield from memory.figures(sqs, Path(folder), scale=scale)
