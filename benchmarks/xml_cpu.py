"""What an export.xml costs a processor before PostgreSQL sees a row, against expat that reads it for nobody."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from xml.parsers.expat import ParserCreate

from benchmarks.measure import Figure, ratio, take_turns, typical
from benchmarks.sections import Scale
from benchmarks.xml_file import Contents, write_export
from django_healthkit_ingest.core.encodings import compress, decompress
from django_healthkit_ingest.core.formats.apple_export import AppleExportFormat
from django_healthkit_ingest.core.formats.envelope import join
from django_healthkit_ingest.core.registry import shipped_registry
from django_healthkit_ingest.core.samples import Sample, Section, Statistics

MEGABYTES = {Scale.QUICK: 1, Scale.NORMAL: 20, Scale.FULL: 100}
REPEATS = {Scale.QUICK: 3, Scale.NORMAL: 7, Scale.FULL: 7}
CHUNK = 5000
BLOCK = 2**20
_BASELINE = "expat, empty handlers"

Payloads = list[tuple[Section, bytes]]


def figures(folder: Path, *, scale: Scale) -> Iterator[Figure]:
    path = folder / "cpu.xml"
    contents = write_export(path, megabytes=MEGABYTES[scale])
    payloads = split(path)
    check(payloads, contents)
    variants: Mapping[str, Callable[[], object]] = {
        "expat": lambda: read_with_expat(path),
        "split": lambda: split(path),
        "parse": lambda: parse(payloads),
        "whole": lambda: parse(split(path)),
    }
    seconds = take_turns({name: cpu_of(work) for name, work in variants.items()}, repeats=REPEATS[scale])
    path.unlink()
    expat = seconds["expat"]
    for name, target in (("whole", 2.6), ("split", None), ("parse", None)):
        yield ratio(
            "xml.cpu_vs_expat" if name == "whole" else f"xml.{name}_cpu_vs_expat",
            of=expat,
            to=seconds[name],
            baseline=_BASELINE,
            target=target,
            at_least=False,
        )
    elements = contents.records + contents.correlations + contents.workouts + contents.summaries
    each = [took / elements * 1e6 for took in seconds["whole"]]
    yield typical("xml.cpu_us_per_record", each, unit="us", baseline=f"{MEGABYTES[scale]} MB")


def cpu_of(work: Callable[[], object]) -> Callable[[], float]:
    """Seconds of the processor instead of the clock's."""

    def run() -> float:
        started = time.process_time()
        work()
        return time.process_time() - started

    return run


def read_with_expat(path: Path) -> None:
    """As small as a Python program that sees every element can be: names and attributes are made, and thrown away."""
    parser = ParserCreate()
    parser.StartElementHandler = lambda name, attributes: None
    parser.EndElementHandler = lambda name: None
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            parser.Parse(block)
    parser.Parse(b"", True)  # noqa: FBT003


def split(path: Path) -> Payloads:
    """What the task that cuts a file does, without its rows: compressed chunk payloads."""
    with path.open("rb") as file:
        portions = AppleExportFormat().read_file(file, position={}, size=CHUNK)
        return [(portion.section, compress(join(portion.records))) for portion in portions]


def parse(payloads: Payloads) -> Mapping[type, int]:
    """What the tasks of the chunks do, without their rows: samples and statistics, normalised. How many of each."""
    wire, registry = AppleExportFormat(), shipped_registry()
    counts: dict[type, int] = {}
    for section, payload in payloads:
        records = decompress(payload)
        for each in wire.parse(records, section=section, first_index=0, time_zone=None, registry=registry):
            counts[type(each)] = counts.get(type(each), 0) + 1
    return counts


def check(payloads: Payloads, contents: Contents) -> None:
    """Raises RuntimeError if anything of the file is missing or was rejected."""
    expected = {
        Sample: contents.records + contents.correlations + contents.workouts,
        Statistics: contents.summaries,
    }
    counts = parse(payloads)
    if counts != expected:
        raise RuntimeError(f"The file has {expected}, {counts} were read")
